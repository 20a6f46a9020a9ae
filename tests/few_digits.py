"""Stands for MNIST where only its name and digest matter."""


class FewDigits:
    """Three of them."""

    name = "few"

    def __len__(self):
        return 3

    def digest(self):
        return "0" * 64
