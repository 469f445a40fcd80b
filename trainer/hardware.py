"""What torch sees from inside a process, which may be less than the machine has."""

import torch


def seen_in_words() -> str:
    """'torch 2.13.0, threads 2, NVIDIA H200 with 140 GiB and bf16', or '..., no GPU'."""
    gpus = []
    for index in range(torch.cuda.device_count()):
        of = torch.cuda.get_device_properties(index)
        bf16 = " and bf16" if of.major >= 8 else ""  # Ampere and later compute in it
        gpus.append(f"{of.name} with {of.total_memory / 2**30:.0f} GiB{bf16}")
    threads = torch.get_num_threads()
    return ", ".join([f"torch {torch.__version__}", f"threads {threads}", *(gpus or ["no GPU"])])
