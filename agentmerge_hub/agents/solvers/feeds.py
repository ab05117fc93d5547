"""E-mail and social media: rows of a sender, a text, and icons without names."""

from agentmerge_hub.agents.solvers.axtree import Element, Page
from agentmerge_hub.agents.solvers.solver import Plan, Unsolved, click, nth, solves, words


def _rows(page: Page, icons: int) -> list[tuple[list[str], list[Element]]]:
    """Texts and icons in the order of the page: a row ends with its last icon."""
    rows: list[tuple[list[str], list[Element]]] = []
    texts: list[str] = []
    images: list[Element] = []
    for element in page.elements:
        if element.role == "StaticText" and element.name:
            if images:
                texts, images = ([], []) if len(images) >= icons else (texts, images)
            texts.append(element.name)
        elif element.role == "image" and texts:
            images.append(element)
            if len(images) == icons:
                rows.append((texts, images))
                texts, images = [], []
    return rows


_MAIL_ICONS = ("trash", "star")


@solves("email-inbox-delete", "email-inbox-important")
def mark_mail(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    sender, icon = words(goal, r"Find the email by (.*?) and click the (trash|star) icon")
    images = next((images for texts, images in _rows(page, len(_MAIL_ICONS)) if texts[0] == sender), None)
    if images is None:
        raise Unsolved(f"there is no email by {sender}")
    place = _MAIL_ICONS.index(icon) + 1
    return Plan(
        f"The email by {sender} has the {icon} as icon number {place}. I click it.", (click(images[place - 1]),)
    )


_POST_ICONS = ("Reply", "Retweet", "Like", "Share")


@solves("social-media-all", "social-media-some")
def mark_posts(goal: str, page: Page, past: tuple[str, ...]) -> Plan:
    what, number, user = words(goal, r'Click the "(\w+)" button on (all|\d+) posts? by (@\w+)')
    place = _POST_ICONS.index(what)
    icons = [click(images[place]) for texts, images in _rows(page, len(_POST_ICONS)) if user in texts]
    wanted = icons if number == "all" else icons[: int(number)]
    left = [icon for icon in wanted if icon not in past]
    submit = click(nth([b for b in page.all("button") if b.name == "Submit"], 1, "button 'Submit'"))
    if not left:
        return Plan(f'"{what}" is clicked on every post that counts. I submit.', (submit,))
    return Plan(
        f'Posts by {user} left: {len(left)}. "{what}" is icon number {place + 1}. Then I submit.', (*left, submit)
    )
