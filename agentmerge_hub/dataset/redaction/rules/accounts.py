"""Names of accounts: in the menu of ServiceNow, in notes on who is logged in, and those that WorkArena makes."""

import re

from agentmerge_hub.dataset.redaction.rules.rule import Rule
from agentmerge_hub.dataset.redaction.rules.words import SURNAME_PARTICLE

_CAPITAL = r"[^\W\d_a-z]"
_NAME = rf"(?-i:(?P<value>{_CAPITAL}[\w'’.-]{{0,30}}(?:,? (?:{_CAPITAL}|{SURNAME_PARTICLE}\b|\()[\w'’.(),-]{{0,30}}){{0,5}}))"
_STATUS = (
    r"(?:available|away|busy|offline|online|do not disturb|be right back|invisible|out of office|verfügbar|abwesend|beschäftigt|nicht stören|disponible|absente?|occupée?"
    r"|ne pas déranger|ausente|ocupad[oa]|no molestar|disponibile|assente|occupato|non disturbare|disponível|não incomodar|beschikbaar|afwezig|bezet|niet storen"
    r"|tillgänglig|upptagen|ledig|optaget|dostępny|zajęty|доступен|занят|連絡可能|取り込み中|退席中|オンライン|空闲|忙碌|离开|在线|온라인|자리 비움)"
)
_STATUS_STARTS = (
    "available", "away", "busy", "off", "on", "do not", "be right", "invis", "out of", "verf", "abwes", "besch", "nicht", "dispon", "absent", "occup", "ne pas", "ausent", "ocup",
    "no mol", "assent", "non dist", "não", "beschik", "afwez", "bezet", "niet", "tillg", "upptag", "ledig", "optag", "dost", "zaj", "доступ", "занят", "連絡", "取り込", "退席",
    "オンライン", "空闲", "忙碌", "离开", "在线", "온라인", "자리",
)  # fmt: skip
_ROLES = (
    r"(?!(?:system administrator|guest|user|users|admin|administrator|agent|status|presence|chat|support|service)\b['\" :]"
    r"|[^'\":]{0,40}\b(?:status|availability|servers?|services?|printers?|mode|network|connection|devices?|database|delivery|shipping|pickup|stores?|items?|products?|orders?|seats?|tickets?)\b)"
)
"""Neither roles nor things have a status as persons have."""

_NO_NAME = (
    r"(?!(?:Open|Close|Toggle|Show|Hide|View|Edit|Change|Switch|Select|Go|My|Your|The|Our|Main|New|All|User|Account|Profile|Menu|Settings|Options|Navigation|Admin|Administrator|System|Guest|Log|Sign"
    r"|Logout|Login|Out|In|Help|Home|Back|Customer|Member|Team|Company|Default|Current|More|Quick|Top|Global|Avatar|Picture|Image|Photo|Icon|Button|Status|Public|Private|Dropdown|Expand|Collapse|Manage"
    r"|Notifications|Preferences|Search|Favorites|Cart|Create|Update|Upload|Remove|Delete|Add|Register|Details|Dashboard|Skip|Header|Desktop|Mobile|Store|Shop|Order|Orders|Service|Support|Chat)\b)"
)
_WORD = rf"{_NO_NAME}{_CAPITAL}(?:[\w-]|['’.](?=\w)(?!s\b)){{0,30}}"
_PERSON = rf"(?-i:{_WORD}(?:,? (?:{_WORD}|{SURNAME_PARTICLE}\b)){{1,4}}(?<!,))"
"""First and last name, or last and first name with a comma."""

_MENU = (
    r"(?:(?:user|account|profile|avatar|personal|member)(?:'s)?[ -]?(?:menu|button|icon|picture|photo|image|dropdown|options|settings|preferences|profile|details)|avatar"
    r"|(?:benutzer|konto|profil)(?:menü|bild|einstellungen)|menu (?:de l['’]utilisateur|utilisateur|du compte|utente|do usuário|de utilizador)|menú de (?:usuario|la cuenta)|photo de profil|foto de perfil"
    r"|gebruikersmenu|profielfoto|användarmeny|brukermeny|brugermenu|menu użytkownika|меню пользователя|ユーザーメニュー|ユーザー メニュー|用户菜单|使用者選單|사용자 메뉴)"
)
_MENU_LITERALS = (
    *(  # a bare "user" is in a tenth of the lines of pages
        f"{of}{genitive}{space}{what}"
        for of in ("user", "account", "personal", "member") for genitive in ("", "'s") for space in ("", " ", "-")
        for what in ("menu", "button", "icon", "picture", "photo", "image", "dropdown", "options", "settings", "preferences", "profile", "details")
    ),
    "profile", "avatar", "benutzermen", "kontomen", "profilbild", "profilmen", "utilisateur", "du compte", "utente", "usu", "la cuenta", "photo de profil", "perfil",
    "gebruikersmenu", "profielfoto", "användarmeny", "brukermeny", "brugermenu", "użytkownika", "пользователя", "ユーザー", "用户菜单", "使用者選單", "사용자 메뉴",
)  # fmt: skip
_OF = r"(?:\s?[,:;|(/\[–—-]\s?|\s(?:for|of|belonging to|von|für|de|du|d['’]|del|di|van|do|da|för|til|for|dla|para|pour|per|voor)\s|\s)"
_LOGGED_IN = (
    r"(?:(?:logged|signed)[ -]in(?: as| user)?|(?:sign|log) ?out(?=[,:]? \(?(?-i:[A-Z]))|impersonating(?: user)?|acting as|on behalf of user|angemeldet als|eingeloggt als|connectée? en tant que|connecté sous"
    r"|conectado como|sesión iniciada como|ha iniciado sesión como|connesso come|accesso effettuato come|ingelogd als|aangemeld als|inloggad som|innlogget som|logget ind som|zalogowano jako|zalogowany jako|вы вошли как)"
)
_LOGGED_IN_LITERALS = (
    "logged in", "logged-in", "sign out", "log out", "logout", "signout", "signed in", "signed-in", "impersonating", "acting as", "on behalf of user", "angemeldet als", "eingeloggt als", "en tant que", "connecté sous", "conectado como", "iniciada como",
    "sesión como", "connesso come", "effettuato come", "ingelogd als", "aangemeld als", "inloggad som", "innlogget som", "logget ind som", "zalogowan", "вы вошли как",
)  # fmt: skip

_LABEL_WORDS = r"(?:[\w-]+ )*?(?:Access|All|Allowed|And|Any|Anonymous|Basic|Business|Can|Cannot|Chew|Community|Denied|Digital|Enterprise|Everyone|External|Fi|Folks|Free|Friends|Full|Group|Guide|Have|How|Internal|Invalid|Is|Kitty|Level|Limited|List|Local|Lo|Locked|Name|Neighbor|Network|No|None|Not|Only|Owner|Password|Permissions?|Power|Premium|Read|Remote|Required|Res|Role|Roles|Self|Spot|Standard|Summer|Super|Tech|Temporary|There|Title|Type|Unknown|Vis|Visibility|We|What|Winter|World|Write|You)\b"
"""Words in labels that begin like that of a user and name nobody."""

ACCOUNT_RULES = (
    Rule(  # ServiceNow's menu of the account: button 'Jane Roe: available'
        "account",
        tuple(f": {word}" for word in _STATUS_STARTS),
        re.compile(rf"(?<!\w)(?P<quote>['\"]){_ROLES}{_NAME}: {_STATUS}(?P=quote)", re.IGNORECASE),
    ),
    Rule(  # image 'Jane Roe is Available'
        "account",
        (" is a", " is b", " is o", " is do", " is i", " ist ", " est ", " está ", " è ", " är ", " er ", " jest "),
        re.compile(
            rf"(?:image|img|avatar|button|link|figure|menuitem)\W{{1,3}}{_ROLES}{_NAME} (?:is|ist|est|está|è|är|er|jest|is) {_STATUS}(?=['\".,]|$)",
            re.IGNORECASE,
        ),
    ),
    Rule(  # button 'Jane Roe, available'
        "account",
        tuple(f"{sign}{word}" for sign in (", ", "(", "- ", "– ", "| ") for word in _STATUS_STARTS),
        re.compile(
            rf"(?:image|img|avatar|button|menuitem)\W{{1,3}}(?P<value>{_PERSON})(?:, ?| ?\(| [-–|] ){_STATUS}\)?['\"]", re.IGNORECASE
        ),
    ),
    Rule(  # Logged in as Jane Roe
        "account",
        _LOGGED_IN_LITERALS,
        re.compile(rf"{_LOGGED_IN}\s?[:,]?\s{{0,2}}['\"(]?(?P<value>{_PERSON})", re.IGNORECASE),
    ),
    Rule(  # Signed in as jane.roe; Logged in as: jroe
        "account",
        _LOGGED_IN_LITERALS,
        re.compile(
            rf"{_LOGGED_IN}(?:\s?:\s{{0,2}}|\s(?=['\"]?[\w-]{{1,40}}[._\d]))['\"]?(?P<value>(?![0-9a-f]{{3}}(?!\w))(?!(?:root|admin|administrator|guest|user|system|the|an?|your|this)\b)(?-i:[a-z][\w.-]{{1,60}}\w))(?![\w@])",
            re.IGNORECASE,
        ),
    ),
    Rule(  # link 'Log out (jroe12)'
        "account",
        ("log out (", "logout (", "sign out (", "signout ("),
        re.compile(r"(?:sign|log) ?out \((?P<value>(?!all\b)(?-i:[a-z][\w.-]{2,60}))\)", re.IGNORECASE),
    ),
    Rule(  # From: Jane Roe <jane@corp.com>; "Roe, Jane" <jane@corp.com>
        "account",
        ("@",),
        re.compile(
            rf"(?:(?<=[:,;>\"'(])\s?|^\s{{0,20}})[\"']?(?P<value>{_PERSON})[\"']? <(?=[\w.+%-]{{1,80}}@(?!example\.)[\w.-]{{1,80}}>)"
        ),
    ),
    Rule(  # a page about one person
        "account",
        ("linkedin.com/in/",),
        re.compile(r"linkedin\.com/in/(?P<value>(?!User )[\w%-]{3,100})", re.IGNORECASE),
    ),
    Rule("account", ("uid=",), re.compile(r"\buid=\d{1,7}\((?P<value>(?!root\b)[a-z_][\w.-]{1,31})\)")),
    Rule(  # a person's drive: /personal/jane_roe_corp_onmicrosoft_com/
        "account", ("/personal/",), re.compile(r"/personal/(?P<value>[A-Za-z0-9]+(?:_[A-Za-z0-9]+){2,8})(?=[/?#'\"\s]|$)")
    ),
    Rule(  # User menu for Jane Roe; Profile picture of Jane Roe
        "account",
        _MENU_LITERALS,
        re.compile(
            rf"(?:(?<!\w){_MENU}{_OF}{{1,2}}|\b(?:profile|avatar)(?::| (?:of|for)) )['\"]?(?P<value>{_PERSON})(?=['\"<>),.;:|\]/!]|$|\s[–—(|-]|\s(?-i:[a-z]))", re.IGNORECASE
        ),
    ),
    Rule(  # Jane Roe, user menu; Jane Roe's profile
        "account",
        _MENU_LITERALS,
        re.compile(
            rf"(?:(?<=['\">(\]:|])|(?<=['\">] )|^\s{{0,20}})(?:(?:open|show|view|toggle) )?(?P<value>{_PERSON}?)(?:['’]s\s|{_OF})(?:(?:open|show|toggle|expand|your|the)\s)?(?:{_MENU}|profile(?=['\"<)\]]|$))",
            re.IGNORECASE,
        ),
    ),
    Rule(  # Welcome, Jane Roe!
        "account",
        ("welcome", "hello", "hi,", "willkommen", "bienvenue", "bienvenid", "benvenut", "bem-vind", "welkom", "välkommen", "bonjour", "hallo", "hola"),
        re.compile(
            r"(?:welcome(?: back)?|hello|hi|willkommen(?: zurück)?|bienvenue|bienvenid[oa]|benvenut[oa]|bem-vind[oa]|welkom|välkommen|bonjour|hallo|hola)[,:] "
            rf"(?P<value>{_PERSON})(?=['\"<!.,]|$)",
            re.IGNORECASE,
        ),
    ),
    Rule(  # a whole label, such as 'User: Jane Roe' or 'Hi Jane Roe'; products have names such as 'Hello Kitty'
        "account",
        ("user: ", "account: ", "hi ", "hello ", "good morning", "good afternoon", "good evening"),
        re.compile(
            rf"(?<=['\">])(?:(?:current |logged[ -]in |my |your )?(?:user|account): |(?:hi|hello|good (?:morning|afternoon|evening))(?:, | ))(?!{_LABEL_WORDS})"
            rf"(?P<value>(?-i:{_WORD}(?: {_WORD}){{1,2}}))(?=[!.]?['\"<])",
            re.IGNORECASE,
        ),
    ),
    Rule(  # the account in a page's source: window.NOW.user_display_name = "Jane Roe"
        "account",
        ("display_name", "displayname", "g_user.", "now.user", "user-name", "username"),
        re.compile(
            rf"\b(?:user_?display_?name|g_user\.\w{{0,12}}name|NOW\.user\.\w{{0,20}}name|user-?name)\\?['\"]?\s?[:=]\s?\\?['\"](?P<value>{_PERSON})(?=\\?['\"])", re.IGNORECASE
        ),
    ),
    Rule(  # variables of a shell
        "account",
        ("user=", "logname="),
        re.compile(r"(?<![\w-])(?:USER|LOGNAME|SUDO_USER)=['\"]?(?P<value>(?!(?:root|user|admin|nobody|ubuntu)\b)[a-z_][\w.-]{2,31})(?![\w@/:-])"),
    ),
    Rule(  # accounts that WorkArena makes: Jane.Roe.1234
        "account",
        tuple(f".{digit}" for digit in range(10)),
        re.compile(r"\b(?P<value>[A-Z][a-z]{1,20}\.[A-Z][a-z]{1,20}\.\d{4})\b"),
    ),
)  # fmt: skip
