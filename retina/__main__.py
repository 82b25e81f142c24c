"""`python -m retina`: the same as the command `retina`."""

from retina.cli.main import run

if __name__ == "__main__":
    run()
