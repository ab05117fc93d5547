"""Words that name a secret or a personal number, in the languages that pages and agents use most.

A table holds words in lower case; spellings() adds the forms with other separators and without accents.
"""

import re
import unicodedata
from collections.abc import Iterable

PASSWORD_WORDS = (
    "password", "pass word", "passphrase", "pass phrase", "passcode", "passkey",
    "passwort", "kennwort", "losungswort",  # German
    "mot de passe", "mdp", "phrase secrète", "code secret",  # French
    "contraseña", "clave de acceso", "clave",  # Spanish
    "contrasenya", "contrasinal", "pasahitza",  # Catalan, Galician, Basque
    "senha", "palavra passe",  # Portuguese
    "parola d'ordine", "parola chiave", "parola di accesso",  # Italian
    "parola", "parolă", "şifre", "şifreniz", "şifresi",  # Romanian, Turkish, Bulgarian in Latin letters
    "wachtwoord", "wagwoord",  # Dutch, Afrikaans
    "lösenord", "passord", "adgangskode", "kodeord", "lykilorð", "salasana",  # Nordic languages
    "hasło", "hasła", "heslo", "hesla", "jelszó", "jelszava", "geslo", "lozinka", "zaporka", "slaptažodis", "parole", "parool", "fjalëkalim", "parol",  # Eastern Europe
    "пароль", "пароля", "паролем", "парола", "лозинка", "құпия сөз",  # Cyrillic
    "κωδικός πρόσβασης", "κωδικός", "συνθηματικό",
    "סיסמה", "סיסמא", "كلمة المرور", "كلمة السر", "رمز المرور", "رمز عبور", "گذرواژه", "پاس ورڈ",
    "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "암호",
    "पासवर्ड", "পাসওয়ার্ড", "கடவுச்சொல்", "รหัสผ่าน", "mật khẩu", "kata sandi", "kata laluan", "nenosiri",
)  # fmt: skip

SURNAME_PARTICLE = r"(?:v[oa]n|de[rnl]?|da|di|du|la|le|el|al|bin|ibn|ter|ten)"
"""What stands in small letters within a name: Ludwig van Beethoven."""

SECRET_WORDS = (
    "api key", "access key", "secret key", "license key", "auth key", "secret", "token",
    "schlüssel", "geheimnis", "clé", "jeton", "clave", "clave secreta", "ficha de acceso", "chave", "chiave", "segreto", "gettone",
    "sleutel", "nyckel", "nøkkel", "nøgle", "avain", "klucz", "klíč", "kľúč", "kulcs", "ključ", "anahtar", "cheie",
    "ключ", "токен", "секрет", "κλειδί", "מפתח", "مفتاح", "رمز الوصول", "کلید",
    "密钥", "密鑰", "令牌", "秘钥", "キー", "トークン", "鍵", "シークレット", "키", "토큰", "कुंजी", "टोकन", "คีย์", "khóa", "kunci",
)  # fmt: skip
"""Words that name a generated key."""

CODE_WORDS = (
    "verification code", "security code", "confirmation code", "authentication code", "authenticator code", "login code", "sign in code",
    "access code", "one time code", "one time password", "one time passcode", "otp", "2fa code", "mfa code", "two factor code", "recovery code",
    "backup code", "sms code", "activation code", "unlock code", "door code", "pin", "pin code", "pin number", "puk", "cvv", "cvv2", "cvc", "cvc2",
    "bestätigungscode", "sicherheitscode", "prüfnummer", "einmalcode", "zugangscode", "tan",
    "code de vérification", "code de sécurité", "code de confirmation", "code d'accès", "cryptogramme",
    "código de verificación", "código de seguridad", "código de confirmación", "código de acceso",
    "código de verificação", "código de segurança", "código de confirmação",
    "codice di verifica", "codice di sicurezza", "codice di conferma",
    "verificatiecode", "beveiligingscode", "pincode", "verifieringskod", "säkerhetskod", "vahvistuskoodi", "bekræftelseskode",
    "kod weryfikacyjny", "ověřovací kód", "megerősítő kód", "doğrulama kodu", "cod de verificare",
    "код подтверждения", "проверочный код", "код доступа", "пин код", "пинкод", "κωδικός επιβεβαίωσης",
    "验证码", "驗證碼", "安全码", "認証コード", "確認コード", "セキュリティコード", "인증번호", "인증 코드", "보안 코드",
    "קוד אימות", "رمز التحقق", "सत्यापन कोड", "รหัสยืนยัน", "mã xác minh", "kode verifikasi",
)  # fmt: skip
"""Words that name a code of a few digits."""

PHONE_WORDS = (
    "tel", "phone", "telephone", "phone number", "mobile", "mobile number", "mob", "fax", "cell phone", "cellphone", "ph", "call", "whatsapp", "sms",
    "contact", "contact number", "landline", "hotline", "pager", "extension line",
    "telefon", "telefonnummer", "mobil", "mobilnummer", "handy", "handynummer", "festnetz", "rufnummer", "durchwahl",
    "téléphone", "tél", "portable", "mobile", "fixe", "télécopie",
    "teléfono", "telf", "tfno", "móvil", "cel", "celular", "número de teléfono", "telefone", "telemóvel", "celular", "fone",
    "telefono", "cellulare", "telefoon", "telefoonnummer", "mobiel", "gsm", "telefonnr", "puhelin", "matkapuhelin", "sími", "mobilnr",
    "telefon komórkowy", "komórka", "tel kom", "mobilní", "telefonszám", "telefon numarası", "cep telefonu", "número de móvil",
    "тел", "телефон", "моб", "мобильный", "номер телефона", "факс", "мобилен",
    "τηλέφωνο", "κινητό", "טלפון", "נייד", "هاتف", "الهاتف", "جوال", "تلفن", "موبایل",
    "电话", "電話", "手机", "手機", "手机号", "联系电话", "传真", "携帯", "携帯電話", "電話番号", "전화", "전화번호", "휴대폰", "핸드폰",
    "फ़ोन", "फोन", "मोबाइल", "โทร", "โทรศัพท์", "điện thoại", "telepon", "nomor hp", "simu",
)  # fmt: skip

NUMBER_WORDS = (
    "ssn", "nino", "cpf", "dni", "curp", "bsn", "pesel", "iban", "social security", "social security number", "social insurance number", "national insurance number", "national insurance", "ni number",
    "national id", "national identity number", "identity number", "id card number", "id number", "personal identification number", "personal number",
    "passport", "passport number", "driver's license", "drivers license", "driver license", "driving licence", "driver's licence", "license number",
    "tax id", "taxpayer id", "tax number", "tax file number", "tax identification number", "bank account", "account number", "account no", "acct no", "routing number",
    "sort code", "card number", "credit card", "medicare number", "medical record number", "health card", "health insurance number", "nhs number",
    "steuer id", "steuernummer", "steueridentifikationsnummer", "sozialversicherungsnummer", "rentenversicherungsnummer", "reisepass", "personalausweis",
    "ausweisnummer", "führerschein", "kontonummer", "kartennummer", "versichertennummer", "ahv nummer",
    "sécurité sociale", "numéro de sécurité sociale", "sécu", "carte d'identité", "passeport", "permis de conduire", "numéro fiscal", "carte vitale",
    "seguridad social", "número de la seguridad social", "pasaporte", "carné de conducir", "cédula", "número de cuenta", "documento de identidad",
    "passaporte", "carteira de identidade", "título de eleitor", "número de contribuinte", "cartão de cidadão", "conta bancária",
    "codice fiscale", "tessera sanitaria", "passaporto", "carta d'identità", "patente di guida", "numero di conto",
    "burgerservicenummer", "paspoort", "paspoortnummer", "rijksregisternummer", "rekeningnummer", "identiteitskaart", "rijbewijs",
    "personnummer", "fødselsnummer", "cpr nummer", "henkilötunnus", "kennitala", "pasnummer", "passnummer", "kontonr",
    "paszport", "dowód osobisty", "numer dowodu", "rodné číslo", "személyi szám", "adószám", "kimlik no", "kimlik numarası", "pasaport",
    "cod numeric personal", "buletin", "oib", "emšo", "jmbg", "asmens kodas", "isikukood", "personas kods",
    "паспорт", "паспорта", "снилс", "инн", "егн", "водительское удостоверение", "номер счета",
    "αφμ", "αμκα", "ταυτότητα", "διαβατήριο", "תעודת זהות", "דרכון", "رقم الهوية", "جواز السفر", "کد ملی",
    "身份证", "身份证号", "身份證", "护照", "護照", "银行卡", "社保", "マイナンバー", "個人番号", "パスポート", "免許証", "口座番号",
    "aadhaar", "aadhar", "pan card", "voter id", "ration card", "주민등록번호", "여권", "여권번호", "운전면허", "계좌번호", "आधार", "पासपोर्ट", "बैंक खाता", "บัตรประชาชน", "หนังสือเดินทาง",
    "căn cước", "hộ chiếu", "nomor ktp", "nik", "no kad pengenalan",
)  # fmt: skip
"""Words that name the number of a person, an identity document, a tax payer or an account."""

BIRTH_WORDS = (
    "date of birth", "birth date", "birthday", "dob", "d.o.b.", "born on", "born",
    "geburtsdatum", "geboren am", "geburtstag", "date de naissance", "né le", "née le", "fecha de nacimiento", "data de nascimento", "data de naixement",
    "data di nascita", "nato il", "nata il", "geboortedatum", "geboren op", "födelsedatum", "fødselsdato", "syntymäaika", "fæðingardagur",
    "data urodzenia", "datum narození", "dátum narodenia", "születési dátum", "datum rođenja", "datum rojstva", "data nașterii", "doğum tarihi",
    "дата рождения", "дата на раждане", "ημερομηνία γέννησης", "תאריך לידה", "تاريخ الميلاد", "تاریخ تولد",
    "出生日期", "生日", "生年月日", "誕生日", "생년월일", "생일", "जन्म तिथि", "วันเกิด", "ngày sinh", "tanggal lahir", "tarikh lahir",
)  # fmt: skip
"""Words that name the date of a birth."""

NUMBER_ABBREVIATIONS = (
    "SIN", "ITIN", "TIN", "EIN", "TFN", "NHS", "MRN", "DL", "NIR", "INSEE", "NIF", "NIE", "RG",
    "RFC", "RUT", "RUN", "CUIL", "CUIT", "CC", "NIP", "CNP", "EGN", "AMKA", "AFM", "AHV", "AVS", "SVNR", "SV-Nr", "CPR", "HETU",
    "TCKN", "TC", "PAN", "UAN", "NIK", "KTP", "NPWP", "NRIC", "FIN", "HKID", "RRN", "CMND", "CCCD", "MyKad",
)  # fmt: skip
"""Their abbreviations, in this letter case: some are ordinary words in small letters."""

_SEPARATORS = (" ", "", "_", "-", ".", "’")
_PLAIN_LETTERS = str.maketrans("łøđıß", "lodis")


def spellings(words: Iterable[str]) -> tuple[str, ...]:
    """The words with and without accents, and with every separator between their parts; longest first."""
    found = set()
    for word in words:
        for accented in (word, _without_accents(word)):
            parts = re.split(r"[ ']", accented)
            separators = {separator.join(parts) for separator in _SEPARATORS} if len(parts) > 1 else {accented}
            found |= {accented, *separators}
    return tuple(sorted(found, key=lambda word: (-len(word), word)))


def _without_accents(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word)
    if not decomposed[0].isascii():
        return word
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_PLAIN_LETTERS)
