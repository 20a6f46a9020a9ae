"""The Accuracy tab's controls, as a visitor presses them."""


def choose(page, dataset="UCI digits", checkpoint="The article's CNN", other=None):
    page.get_by_role("tab", name="Accuracy").click()
    page.locator("#accuracy-dataset").get_by_label(dataset).check()
    page.locator("#accuracy-checkpoint").get_by_label(checkpoint).check()
    if other:
        page.locator("#accuracy-other").get_by_label(other).check()


def name_hub_checkpoint(page, repo_id):
    page.locator("#accuracy-checkpoint-hub input, #accuracy-checkpoint-hub textarea").fill(repo_id)


def start(page):
    page.get_by_role("button", name="Run", exact=True).click()


def wait_for_headline(page, words, timeout_s=30):
    page.locator("#accuracy-headline").get_by_text(words).first.wait_for(timeout=timeout_s * 1000)


def wait_for_files(page):
    """The last thing that a run shows."""
    page.locator("#accuracy-json:enabled").wait_for(timeout=30_000)


def run_uci(page, **choices):
    choose(page, **choices)
    start(page)
    wait_for_headline(page, "Done: 1,797 images")
    wait_for_files(page)
