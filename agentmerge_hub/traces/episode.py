"""Read one episode of any format, within limits. Whatever is wrong with it, the other episodes are not affected."""

from agentmerge_hub.errors import UserError
from agentmerge_hub.records import Episode
from agentmerge_hub.traces import adp, atif, browsergym, cube, documents, session_trace
from agentmerge_hub.traces.files import Refused
from agentmerge_hub.traces.find import Found, FoundIn
from agentmerge_hub.traces.limits import LimitExceeded, memory_limit, time_limit
from agentmerge_hub.traces.screenshots import Screenshots
from agentmerge_hub.traces.values import OutOfRange, first_line


class Unreadable(ValueError):
    """An episode that cannot be used; the message names the file, if it is one file's fault, and the reason."""


def read_episode(found: Found, screenshots: Screenshots = "off") -> Episode:
    """Read one episode.

    Args:
        screenshots: which to read with it; only AgentLab's and BrowserGym's folders have them beside the steps.

    Raises:
        Unreadable: whatever is wrong with its files.
    """
    try:
        with time_limit(), memory_limit():
            return _read(found, screenshots)
    except UserError:
        raise
    except (Refused, OutOfRange) as error:
        raise Unreadable(str(error) if isinstance(error, Refused) else f"{found.folder.name} {error}") from None
    except LimitExceeded as error:
        raise Unreadable(f"the episode {error} to read") from None
    except MemoryError:
        raise Unreadable("the episode needs more memory than the limit") from None
    except Exception as error:  # no file may end the work on all others
        raise Unreadable(
            f"the episode cannot be read ({type(error).__name__}: {first_line(str(error))[:120]})"
        ) from None


def _read(found: Found, screenshots: Screenshots) -> Episode:
    if not isinstance(found, FoundIn):
        return browsergym.read(found.folder, found.source, screenshots)
    if found.format == "cube":
        return cube.read(found.folder, found.source)
    document, identity = documents.load(found.folder, found.number)
    if atif.is_document(document):
        return atif.read(document, found.source, identity, found.folder.parent)
    if adp.is_document(document):
        return adp.read(document, found.source, identity)
    return session_trace.read(document, found.source, identity)
