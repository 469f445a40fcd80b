"""Whether the Hugging Face hub can be reached from here."""

SECONDS_TO_ANSWER = 5.0


def hub_answers(seconds: float = SECONDS_TO_ANSWER) -> bool:
    """Asked first, because the libraries themselves try for half a minute and print each attempt."""
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=seconds)
    except Exception:  # whatever its HTTP library raises, the answer is no
        return False
    return True
