"""`python -m trainedon`, and the command `trainedon`: signals are heeded before anything large is imported."""

from __future__ import annotations

from trainedon.stopping import stoppable


def main() -> None:
    """Entry point; see `trainedon.cli.main`."""
    with stoppable():
        from trainedon.cli import main as command_line

        command_line()


if __name__ == "__main__":
    main()
