"""Names of persons where a field, a salutation or a sign-off says that they are persons: first and last name, or a title and a name.

A name in free text is not found. Neither are first names alone, which are also words.
"""

import re
from collections.abc import Iterator

from agentmerge_hub.dataset.redaction.rules.labeled import SIGN, TAG
from agentmerge_hub.dataset.redaction.rules.path_words import WEB_WORDS
from agentmerge_hub.dataset.redaction.rules.rule import Rule, rule_after_label
from agentmerge_hub.dataset.redaction.rules.words import SURNAME_PARTICLE, spellings

_BY = (
    "caller", "caller id", "requested for", "requested by", "requester", "requestor", "opened by", "opened for", "closed by", "resolved by", "assigned to",
    "reassigned to", "escalated to", "assignee", "managed by", "owned by", "supported by", "reported by", "reporter", "submitted by", "submitter", "raised by",
    "created by", "updated by", "last updated by", "approved by", "approver", "reviewed by", "reserved for", "checked out by", "on behalf of", "delegated to", "contacted by",
)  # fmt: skip
_FIELDS = (*_BY, "manager", "managers", "owner", "contact", "contact person", "primary contact", "supervisor", "employee", "attendee", "attention", "attn",
    "line manager", "ansprechpartner", "bearbeiter", "anrufer", "zugewiesen an", "erstellt von", "geöffnet von",
    "demandeur", "assigné à", "ouvert par", "solicitante", "asignado a", "abierto por", "atribuído a", "assegnato a", "toegewezen aan")  # fmt: skip
"""Labels of fields that hold a person, or a group: ServiceNow's and those of other trackers."""

_TITLE = (
    r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Herr|Herrn|Frau|Monsieur|Madame|Señor|Señora|Sr|Sra|Sig|Signor|Signora)\.?"
)
_CAPITAL = r"[^\W\d_a-z]"
_WORD = rf"{_CAPITAL}(?:['’]?{_CAPITAL})?(?=[\w'’-]*[^\W\d_A-Z])(?:[^\W\d_]|['’-](?=\w)(?!s\b)){{1,30}}"
_FULL = rf"(?:{_WORD}, {_WORD}(?: {_CAPITAL}\.)?|{_WORD}(?: (?:{_CAPITAL}\.|{SURNAME_PARTICLE}))*(?: {_WORD}){{1,3}})"
_END = rf"(?![\w@]|[.'’&/]\w|['’]s\b| (?:&|-) ?\w| (?-i:{_CAPITAL}))"
"""Behind the whole phrase: no part of a longer one in capitals, such as that of a group or a product, is a name."""
_FULL_NAME = rf"(?-i:(?:{_TITLE} )?(?P<value>(?!{_TITLE} ){_FULL})){_END}"
_PERSON = rf"(?-i:(?:{_TITLE} )?(?P<value>(?!{_TITLE} ){_FULL}|(?<=[a-z.] ){_WORD})){_END}"
"""A full name, or one word behind a title."""

_GREETINGS = ("hi", "hello", "hey")
_SALUTATIONS = ("dear", "sehr geehrte", "sehr geehrter", "liebe", "lieber", "cher", "chère", "estimado", "estimada", "querido", "querida",
    "gentile", "egregio", "prezado", "prezada", "caro", "cara", "beste", "geachte", "kära", "kære", "kjære", "hei", "szanowny", "szanowna", "drogi", "droga", "уважаемый", "уважаемая")  # fmt: skip
_SIGN_OFFS = ("regards", "best wishes", "all the best", "sincerely", "yours truly", "yours faithfully", "respectfully", "cordially", "many thanks", "thanks", "thank you", "cheers",
    "mit freundlichen grüßen", "mit freundlichen grüssen", "viele grüße", "beste grüße", "cordialement", "bien à vous", "sincères salutations", "atentamente", "saludos", "un saludo",
    "cordiali saluti", "distinti saluti", "atenciosamente", "met vriendelijke groet", "met vriendelijke groeten", "med vänliga hälsningar", "med venlig hilsen", "med vennlig hilsen",
    "z poważaniem", "pozdrawiam", "с уважением", "yours", "best", "warmly", "signed")  # fmt: skip
_BREAK = r"(?:\s|\\[nrt]|(?:<br)? ?/?>|</?p>|[–—-]){0,6}"

_GROUP_WORDS = """
    access administrator administration agent agents alert analyst analysts analytics any application applications approval approver asset assets assignment auditor automated automation backend bank board
    building bureau business buyer candidate centre change chief claims client cloud colleague committee compliance computer concern config configuration consultant contractor coordinator corp corporation council
    database db dept desk designer desktop developer developers development device devices director division donor driver due engineer engineering engineers everybody everyone executive external facilities facility field finance firm folks frontend
    general global hardware head hiring hr human inc incident infrastructure integration internal investor knowledge labs laptop lead leader legal level limited line llc local ltd machine madam manager managers marketing members membership mobile
    name network networking networks none nobody number office officer open operation operations operator organisation organization outlook owner parent parents partner party people person personnel pending planner platform president principal printer priority procurement product
    purchasing quality queue read reader recipient recruiter recruiting recruitment regional remote reporter representative request requester required research resident resources responder response responsible review reviewer risk sales security server servers service
    severity shopper shoppers sir software specialist specialists staff state stakeholder status student subscriber supervisor supplier support system systems teacher team teams technical technician technicians technology tenant test tester the tier title traveler unassigned unit university unknown
    user users valued vendor visitor volunteer web windows work workplace workspace you your all both me us group groups select impact urgency look preview lookup last first updated date time type category model serial none configuration item short description
    north south east west street avenue road city county united states kingdom day january february march april june july august september october november december monday tuesday wednesday thursday friday saturday sunday
    studio code foods market smart big sealed new york san los fox pro air mac book apple microsoft google amazon dell lenovo samsung servicenow gitlab magento
    herren damen kunde kunden kundin abteilung dienst équipe service équipo equipo cliente client clients madame messieurs señores
"""
_NO_PERSONS = WEB_WORDS | frozenset(_GROUP_WORDS.split())
"""Words of groups, roles, companies, products and forms: a phrase with one of them names no person."""


def _is_person(value: str) -> bool:
    return not any(word in _NO_PERSONS for word in re.split(r"[\s,.-]+", value.lower()))


PERSON_RULES = (
    rule_after_label(  # Caller: Jane Roe; "assigned_to": "Jane Roe"
        "person",
        spellings(_FIELDS),
        rf"(?:\s?(?:id|name))?[\"']?{SIGN}[\"'`*«„“(]{{0,2}}{_PERSON}",
        _is_person,
    ),
    rule_after_label(  # Opened by Jane Roe
        "person",
        tuple(label for label in _BY if label.endswith((" by", " to", " for", " of"))),
        rf"(?:\s(?:user|employee))?\s{_PERSON}",
        _is_person,
    ),
    rule_after_label(  # textbox 'Caller' value='Jane Roe'; <input name="incident.caller_id" value="Jane Roe"
        "person",
        spellings(_FIELDS),
        rf"[^'\"\n<>]{{0,20}}['\"][^\n<>]{{0,400}}?\bvalue=['\"]{_FULL_NAME}(?=['\"])",
        _is_person,
    ),
    rule_after_label(  # <td>Caller</td><td>Jane Roe</td>
        "person",
        spellings(_FIELDS),
        rf"[\"'*]?:?\s?(?:{TAG}){{1,4}}{_PERSON}(?=\s?</|$)",
        _is_person,
    ),
    Rule(  # a value of "Jane Roe" for field "Caller"
        "person",
        ('" for field', "' for field", '" for the field', "' for the field", '" in the field', '" in field', '" as the ', '" as '),
        re.compile(
            rf"(?P<quote>[\"']){_FULL_NAME}(?P=quote) (?:for|in|into|as)(?: the)?(?: field)? [\"']?(?:{'|'.join(map(re.escape, spellings(_FIELDS)))})\b",
            re.IGNORECASE,
        ),
        check=_is_person,
    ),
    rule_after_label(  # Dear Jane Roe; Dear Dr. Roe
        "person", _SALUTATIONS, rf"\s{{1,2}}{_PERSON}(?=\s?(?:[,:!;'\"<.–—-]|\\[nr]|$))", _is_person
    ),
    rule_after_label("person", _GREETINGS, rf",? {_PERSON}(?=\s?(?:[,:!]|\\[nr]))", _is_person),
    rule_after_label(  # Regards, Jane Roe
        "person", tuple(word + sign for word in _SIGN_OFFS for sign in (",", ",\\n", "!", "<br")), rf"{_BREAK}{_PERSON}(?=\s?(?:[,'\"<.|(]|\\[nr]|$))", _is_person
    ),
)  # fmt: skip

_ENDINGS = (",\n", ",\r\n", ",'\n", ',"\n', ",<br>\n", ",<br/>\n")
_LINE_BELOW = re.compile(
    rf"\s{{0,40}}(?:\[\w+\] )?(?:StaticText ['\"]|[–—-] ?)?{_FULL_NAME}(?=[,'\"]{{0,2}}\s*(?:\n|<|$))"
)


def signed_names(text: str) -> Iterator[str]:
    """Names of persons in the line below a sign-off that ends with a comma."""
    for ending in _ENDINGS:
        position = text.find(ending)
        while position >= 0:
            above = text[max(0, position - 40) : position].lower()
            name = _LINE_BELOW.match(text, position + len(ending)) if above.endswith(_SIGN_OFFS) else None
            if name and _is_person(name["value"]):
                yield name["value"]
            position = text.find(ending, position + 1)
