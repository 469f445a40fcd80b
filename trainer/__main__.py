from trainer.exchange_cli import app

app(prog_name="python -m trainer")
