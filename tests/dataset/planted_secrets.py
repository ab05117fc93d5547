"""Texts with a secret in them, by kind, put together from pieces so that no scanner takes this file for a leak.

All names are invented and all keys are random.
"""

import base64
import random
import string

_LETTERS = string.ascii_letters + string.digits


def planted_secrets(seed: int = 0) -> list[tuple[str, str, str]]:
    """Kind, text, and the part of the text that must not be published."""
    draw = random.Random(seed)

    def some(n: int, letters: str = _LETTERS) -> str:
        return "".join(draw.choice(letters) for _ in range(n - 3)) + draw.choice("abcdef") + draw.choice("7924") + "Q"

    def hexadecimal(n: int) -> str:
        return "".join(draw.choice("0123456789abcdef") for _ in range(n))

    def digits(n: int) -> str:
        return "".join(draw.choice("23456789") for _ in range(n))

    def pair(text: str, secret: str) -> tuple[str, str]:
        return text.replace("¤", secret), secret

    user, word, snow = "jroe" + digits(2), "Zk" + digits(2) + "mmQx", ".service" + "-now.com"
    host = "acme" + digits(3)
    planted = {
        "host": [
            pair(f"https://¤{snow}:443/nav_to.do", host),
            pair(f"uri=https%253A%252F%252F¤{snow}", host),
            pair("https:\\/\\/¤" + snow + "\\/x", host),
            pair("https&colon;//¤" + snow.replace(".", "&period;"), host),
            pair("http://jira.¤.corp:8080/x", host),
            pair("http://¤.lan/", host),
            pair("http://¤:8080/x", "snowtest" + digits(2)),
            pair("http://¤/", "192.168.4." + digits(2)),
            pair("172.20.3.¤ refused", digits(2)),
            pair("http://[¤]/", "fd12:3456:789a::" + digits(2)),
            pair("ec2-¤.us-east-2.compute.amazonaws.com", "3-14-15-" + digits(2)),
            pair("\\\\¤\\share\\x", "filesrv" + digits(2)),
            pair("https://¤.sharepoint.com/sites/x", host),
            pair("https://¤.okta.com/login", host),
            pair("IP address: ¤", "81.2.69." + digits(2)),
            pair("[12] textbox 'Client IP' value='¤'", "81.2.69." + digits(2)),
            pair('{"remote_addr": "¤"}', "2a02:8108:9c0::" + digits(2)),
            pair("Last login from ¤ at 9:12", "81.2.69." + digits(2)),
            pair("server: ¤ upstream", "81.2.69." + digits(2)),
            pair("IP-Adresse ist ¤", "81.2.69." + digits(2)),
        ],
        "credentials": [
            pair("postgres://u:¤@db:5432/x", word),
            pair("redis://:¤@cache:6379", word),
            pair("curl -u jroe:¤ http://x", word),
            pair("Authorization: Basic ¤", base64.b64encode(f"jroe:{word}".encode()).decode()),
            pair('{\\"password\\":\\"¤\\"}', word),
            pair("&quot;password&quot;: &quot;¤&quot;", word),
            pair("export DB_PASSWORD='¤'", word),
            pair("Server=db;User Id=sa;Password=¤;", word),
            pair('<input type="password" value="¤">', word),
            pair("[12] textbox 'Current password' value='¤', required", word),
            pair("my password is ¤", word),
            pair("j_password=¤&submit=1", word),
            pair("tool --password ¤", word),
        ],
        "session": [
            pair("Set-Cookie: SID=¤; Path=/", hexadecimal(16)),
            pair('{"name": "glide_session_store", "value": "¤"}', hexadecimal(32).upper()),
            pair("x.do?sysparm_ck%3D¤", hexadecimal(72)),
            pair("X-CSRF-Token: ¤", some(32)),
            pair('<meta name="csrf-token" content="¤">', some(40)),
            pair("connect.sid=s%3A¤", some(32)),
            pair("localStorage.setItem('token', token='¤')", some(40)),
            pair("SAML" + "Response=¤", some(60)),
            pair("/x?sid=¤", some(36)),
            pair("/callback?code=¤&state=x", some(40)),
            pair("/callback?state=x&code=¤", some(40)),
            pair('<input value="¤" type="hidden" name="authenticity_token">', some(64)),
            pair('{"value": "¤", "name": "session"}', some(40)),
            pair(".x.org\tTRUE\t/\tTRUE\t1735689600\tsid\t¤", some(32)),
            pair("https://x.org/reset-password/¤", some(40)),
            pair("https://x.org/team/invite/¤?a=b", some(32)),
            pair(f"wordpress_logged_in_{hexadecimal(32)}=jane%7C1700000000%7C¤", some(43)),
        ],
        "token": [
            *(pair("¤", prefix + some(n)) for prefix, n in _TOKENS),
            pair("AKIA¤", some(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").upper()),
            pair("WANDB_API_" + "KEY=¤", hexadecimal(40)),
            pair("Authorization: Bea" + "rer ¤", some(40)),
            pair("x-api-key: ¤", some(32)),
            pair("Your access token is ¤", some(32)),
            pair("-----BEGIN OPENSSH PRIVATE " + "KEY-----\n¤\n-----END OPENSSH PRIVATE " + "KEY-----", "b3BlbnNz" + some(30)),
        ],
        "email": [
            pair("mailto:¤@brackwater.org", user),
            pair("to=¤%2540brackwater.org", user),
            pair("¤&commat;brackwater.org", user),
            pair("¤\\u0040brackwater.org", user),
            pair("¤ [at] brackwater [dot] org", user),
            pair("¤ at brackwater dot org", user),
            pair("¤＠brackwater.org", user),
            pair("<jürgen.¤@brackwater.co.uk>", "mü" + user),
        ],
        "phone": [pair("call +1 (514) ¤", "555-01" + digits(2)), pair("(514) ¤", "555-01" + digits(2)), pair("+33 1 42 ¤ 53 00", "68")],
        "number": [
            pair("card ¤", "5500 0000" + " 0000 0004"),
            pair("¤", "378282246" + "310005"),
            pair("SSN ¤", "219-09" + "-9999"),
            pair("IBAN ¤", "GB29 NWBK 6016" + " 1331 9268 19"),
            pair("ether ¤ txqueuelen 1000", "00:1b:44:11:3a:" + digits(2)),
            pair("MAC:¤", "3C-22-FB-14-9E-" + digits(2)),
            pair("mac%3D3C%3A22%3AFB%3A14%3A¤", "9E%3A" + digits(2)),
            pair("arp ¤", "a4:12:34:56:78:" + digits(2)),
            pair("VIN ¤", "1M8GDM9A" + "XKP042788"),
            pair("?vin=¤&x=1", "1HGCM826" + "33A004352"),
        ],
        "home": [
            pair(path, user)
            for path in (
                "/home/¤/x", "C:\\\\Users\\\\¤\\\\x", "/network/scratch/j/¤/x", "/scratch/¤/x", "/fsx/¤/run", "/u/¤/x", "cd ~¤/x",
                "\\\\srv\\homes\\¤\\x", "/gpfs/users/¤", "%2Fhome%2F¤", "\\/home\\/¤\\/x", "¤@login01:/scratch/x", "/home/lab/j/¤/x",
                "smb://srv/homes/¤/x", "file:///home/¤/x.html",
            )
        ],
        "account": [
            pair(text, "Orla Quistwick")
            for text in (
                "[25] button '¤: available', expanded=False", "[25] button '¤: busy'", "[3] image '¤ is Away'",
                "[3] link 'Logged in as ¤'", "StaticText 'Impersonating ¤'",
            )
        ],
    }  # fmt: skip
    planted["credentials"] += [pair(text, word) for text in _PASSWORD_TEXTS]
    planted["credentials"] += [pair(text, "4" + digits(5)) for text in _CODE_TEXTS]
    planted["token"] += [pair(text, some(32)) for text in _KEY_TEXTS]
    planted["token"] += [
        pair("¤", "pcsk_" + some(6) + "_" + some(62)),
        pair("¤", "pat" + some(14) + "." + hexadecimal(64)),
        pair("¤", "S" + "K" + hexadecimal(32)),
        pair("¤", hexadecimal(32) + "-us1" + digits(1)),
        pair("¤", "newvendor_" + some(40)),
        pair("¤", "a84" + "8Q~" + some(34)),
        pair("https://x.webhook.office.com/webhookb2/¤/x", _uuid(hexadecimal(32)) + "@" + _uuid(hexadecimal(32))),
        pair("¤", "pat-eu1-" + _uuid(hexadecimal(32))),
        pair("¤", "1//" + "0" + some(60)),
        pair("¤", f"1/{digits(16)}:{hexadecimal(32)}"),
        pair("¤", "sq" + "u_" + hexadecimal(40)),
        pair("¤", "ci" + "o" + some(32)),
        pair("Authorization: SSWS ¤", some(42)),
        pair("https://x.org/data?appid=¤", hexadecimal(32)),
        pair("https://hooks.zapier.com/hooks/catch/¤/", f"{digits(7)}/" + some(7)),
        pair("¤", base64.b64encode(f"the token is gh{'p_'}{some(36)}".encode()).decode()),
        pair(
            "data:text/plain;base64,¤",
            base64.b64encode(f"password={word} of the shop's administrator".encode()).decode(),
        ),
        pair("¤", f"Authorization: Bea{'rer '}{some(40)}".encode().hex()),
        pair('{"kty":"RSA","e":"AQAB","d":"¤"}', some(86)),
        pair("PuTTY-User-Key-File-2: ssh-rsa\nPrivate-Lines: 1\n¤\nPrivate-MAC: " + hexadecimal(40), some(64)),
        pair(
            "---- BEGIN SSH2 ENCRYPTED PRIVATE " + "KEY ----\n¤\n---- END SSH2 ENCRYPTED PRIVATE " + "KEY ----",
            some(64),
        ),
    ]
    planted["email"] += [pair(text, user) for text in _EMAIL_TEXTS]
    planted["phone"] += [pair(text, digits(4)) for text in _PHONE_TEXTS]
    planted["number"] += [pair(text, number) for text, number in _PERSONAL_NUMBERS]
    planted["home"] += [pair(text, "jane.roe") for text in _PERSON_PATHS]
    planted["home"] += [pair(text, "jroe") for text in _USER_PATHS]
    planted["account"] += [pair(text, "Orla Quistwick") for text in _MENU_TEXTS]
    planted["account"] += [
        pair("link 'Log out (¤)'", user),
        pair("uid=1001(¤) gid=1001", user),
        pair("https://x.org/personal/¤_corp_onmicrosoft_com/Documents", user),
        pair(f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{some(43)} ¤@laptop", user),
        pair("https://www.linkedin.com/in/¤", "orla-quistwick"),
    ]
    return [(kind, text, secret) for kind, pairs in planted.items() for text, secret in pairs]


def _uuid(hexadecimal: str) -> str:
    return "-".join(hexadecimal[start:end] for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


_TOKENS = (
    ("gh" + "o_", 36), ("github" + "_pat_11", 60), ("gl" + "pat-", 20), ("xo" + "xb-123456789012-", 24), ("sk" + "-proj-", 60),
    ("sk" + "-ant-api03-", 95), ("rk" + "_live_", 24), ("sk" + "_test_", 24), ("AI" + "za", 35), ("ya" + "29.", 60), ("np" + "m_", 36),
    ("hf" + "_", 34), ("gs" + "k_", 52), ("r" + "8_", 37), ("nv" + "api-", 64), ("hv" + "s.", 90), ("xa" + "i-", 80), ("lin" + "_api_", 40),
    ("1234567890:A", 34),
)  # fmt: skip
"""Starts of providers' tokens and how many characters follow."""

_PASSWORD_TEXTS = (
    "docker login -u bob -p ¤", "htpasswd -b users bob ¤", "net use z: /user:bob ¤", "machine x.test login bob password ¤",
    "Passwort: ¤", "Datenbankkennwort = ¤", "mot de passe : ¤", "Mot de passe (temporaire) : ¤", "contraseña: ¤", "La contrasena es ¤", "senha: ¤",
    "parola d'ordine: ¤", "wachtwoord=¤", "Ditt lösenord är ¤", "hasło: ¤", "Heslo: ¤", "Şifreniz: ¤", "Пароль: ¤", "Ваш пароль — ¤", "κωδικός: ¤",
    "סיסמה: ¤", "كلمة المرور: ¤", "पासवर्ड: ¤", "รหัสผ่านคือ ¤", "mật khẩu: ¤", "パスワード: ¤", "密码：¤", "您的密碼是 ¤", "임시 비밀번호는 ¤ 입니다",
    "<password>¤</password>", "<td>Kennwort</td><td>¤</td>", "<key>password</key><string>¤</string>", "| Kennwort | ¤ |", "machine x login a password ¤",
    "We reset your password to ¤", "[3] textbox 'Nueva contraseña' value='¤'", "WIFI:T:WPA;S:office;P:¤;;", "Login: jroe / ¤", "ldapsearch -D cn=a -w ¤",
    "a:$2y$10$¤" + "wUhBtjOSkYfvhrpZlNn86Kz9w0Zz6e8FCCv6IoTWQiiHDi48",
)  # fmt: skip
_CODE_TEXTS = (
    "PIN code: ¤", "Your verification code is ¤", "¤ is your login code", "Bestätigungscode: ¤", "Votre code de vérification est le ¤",
    "Tu código de verificación es ¤", "код подтверждения: ¤", "您的验证码是 ¤", "認証コード：¤", "인증번호: ¤",
)  # fmt: skip
_KEY_TEXTS = ("API-Schlüssel: ¤", "Votre clé d'API : ¤", "clave secreta: ¤", "ключ API: ¤", "访问密钥：¤", "APIキー: ¤")
_EMAIL_TEXTS = (
    "¤ (arobase) brackwater.fr", "¤ (собака) brackwater.ru", "¤ at brackwater.org", "¤ @ brackwater . org", "¤@brackwater[.]org", '"¤"@brackwater.org',
    "¤<span>@</span>brackwater.org", "jane dot ¤ at brackwater dot org", "j.¤@intranet", "mailto:¤@mailhost7",
    "write to ¤@corp.", "jane.¤@[10.0.0.7]", '"jane ¤"@brackwater.org', "¤ -at- brackwater.org", "_¤@brackwater.org_",
    "-¤@brackwater.org", "¤\u00a0@\u00a0brackwater.org", "* ¤@brackwater.org",
)  # fmt: skip
_PHONE_TEXTS = (
    "Tel. 030 / 9018 ¤", "Tél : 01 42 68 ¤", "電話: 03-1234-¤", "手机：1380013¤", "Telefone: (11) 91234-¤", "Ph: (02) 9374 ¤", "Móvil: 612 34 ¤",
    "тел. 8 (495) 12-¤", "هاتف: 050 123 ¤", "010-1234-¤", "0049 30 9018 ¤", "020 7946 ¤", "https://wa.me/1415555¤", "Phone: 415555¤", "call 415555¤ now",
    "030/90¤", "089 / 12¤", "0171 123¤", "01234-56¤", "030/90 ¤", "0049 30 90¤", "+1 514–555–¤", "+43 1 5¤",
)  # fmt: skip
_PERSONAL_NUMBERS = (
    ("SIN: 046 454 ¤", "286"), ("NI number: QQ123456¤", "C"), ("¤", "1 85 05 78 006 084" + " 91"), ("Passport no: ¤", "C01X00" + "T47"),
    ("Reisepass: ¤", "C01X00" + "T47"), ("¤", "529.982.247" + "-25"), ("Account No: ¤", "48291" + "7735"), ("¤", "756.9217.0769" + ".85"), ("¤", "RSSMRA85T10" + "A562S"),
    ("¤", "11010519491231" + "002X"), ("PESEL: ¤", "440514" + "01359"), ("DNI ¤", "123456" + "78Z"), ("身份证号：¤", "11010519491231" + "0021"),
    ("Steuer-ID: ¤", "36 574 261" + " 809"), ("IBAN: ¤", "FR14-2004-1010-0505-0001" + "-3M02-606"),
)  # fmt: skip
_PERSON_PATHS = (
    "/cygdrive/c/Users/¤/x", "/ceph/users/¤/x", "/storage/¤/x", "/mnt/user/¤/x", "/tmp/ray/session/¤", "/opt/conda/envs/¤/bin", "s3://bucket/users/¤/x",
    "\\\\srv\\profiles$\\¤\\x", "-home-¤-project", "/jfs/¤/x", "/hpc/home/¤/x",
    "\\\\srv\\share\\¤\\x", "E:\\work\\¤\\x", "runs/¤/model", "url='/users/¤/edit'",
    "/jet/home/¤/x", "/mmfs1/home/¤/x", "/rds/user/¤/hpc-work", "/iris/u/¤/x", "/localscratch/¤/x",
)  # fmt: skip
_USER_PATHS = (
    "/mnt/¤/x", "/data/¤/x", "/data/users/¤", "/raid/¤/x", "/workspace/¤/x", "/media/¤/usb", "/run/media/¤/usb", "/Volumes/¤/x", "/nfs/people/¤/x",
    "/gpfs/projects/lab7/¤/x", "/lustre/orion/proj-shared/abc123/¤/x", "/project/lab7/¤", "/work/¤/x", "/scratch/lab7/¤/x", "/beegfs/site/user/¤/x",
    "/shared/¤/x", "/local/¤/x", "/storage1/¤", "/srv/people/¤", "/export/staff/¤", "/opt/people/¤", "/net/fs01/¤/x", "/tank/home/¤", "/mnt/gpfs/lab/¤",
    "/glusterfs/¤/x", "/run/user/1000/¤", "/home/staff/¤/x", "\\\\srv\\teamshare\\¤\\x", "D:\\Profiles\\¤\\x", "file:///mnt/¤/x", "[open](file:///raid/¤/x)",
    "/afs/cern.ch/user/j/¤/x", "/ihome/crc/¤/x", "/nethome/¤", "/rds/general/user/¤/home", "/home/CORP.local/¤/x", "smb://nas/¤/x", "//server/share/¤/x",
    "/pscratch/sd/j/¤", "\\\\?\\C:\\Users\\¤\\x", "Logged in as: ¤", "export USER=¤",
    "/u1/¤/x", "/global/u1/m/¤/x", "/scratch-shared/¤/x", "/ocean/projects/abc123/¤/x", "/blue/lab/¤/x", "/n/netscratch/lab/Lab/¤/x", "/lfs/h1/¤/x", "/nlp/scr/¤/x",
    "/autofs/svm1_home1/¤/x", "/dbfs/FileStore/users/¤/x", "hdfs:///user/¤/x", "/user/¤/notebooks", "/var/mail/¤", "file:/home/¤/x", "file://///srv/homes/¤/x",
    "D:\\Documents and Settings\\¤\\x", "ssh -p 22 ¤@10.0.0.5", "/home/users/¤/x",
)  # fmt: skip
_MENU_TEXTS = (
    "button '¤, user menu'", "button 'User menu ¤'", "menuitem 'User menu: ¤'", "button '¤ (user menu)'", "button 'User menu for ¤', clickable", "link \"¤'s profile\"",
    "img 'Profile picture of ¤'", "<a aria-label=\"¤, account menu\">", "Welcome, ¤!", "button '¤, Available'", "link 'Angemeldet als ¤'", "button 'Benutzermenü für ¤'",
    "button 'Menu utilisateur de ¤'", "button '¤: verfügbar'", "image '¤ está ausente'",
    "ユーザーメニュー: ¤", "menuitem 'Sign out ¤'", "link 'Logout (¤)'", "button \"Open ¤'s user menu\"", "window.NOW.user_display_name = \"¤\"", "From: ¤ <x@brackwater.org>",
    "button 'Account: ¤'",
)  # fmt: skip
