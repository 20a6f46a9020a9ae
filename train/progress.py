"""A bar while the steps of a round run: the training commands' only one."""

from tqdm import tqdm


class StepBar:
    """On a terminal; where nobody looks, such as in a log file, nothing."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._bar: tqdm | None = None

    def advance(self, n_done: int, n_steps: int, title: str | None = None) -> None:
        """Show one step more; the first one opens the bar.

        Args:
            n_done: steps done, this one too.
            n_steps: in all.
            title: before the bar.
        """
        if self._bar is None:
            # disable=None: only on a terminal.
            self._bar = tqdm(
                total=n_steps, initial=n_done - 1, desc=title, unit="step", leave=False, disable=None, mininterval=0.5
            )
        self._bar.update(1)

    def close(self) -> None:
        """Take it away, so that a line can be printed; the next step opens another."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
