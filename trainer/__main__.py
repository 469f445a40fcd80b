from trainer.cli.main import app

app(prog_name="python -m trainer")
