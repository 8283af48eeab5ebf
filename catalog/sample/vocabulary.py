"""What sellers say: for each category its place, words, prices and phrases; for all, brands and noise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vocabulary:
    """Words of one category. The first noun is the usual one; prices are the usual lowest and highest, in dollars."""

    path: str
    nouns: tuple[str, ...]
    prices: tuple[float, float]
    features: tuple[str, ...]
    uses: tuple[str, ...]
    sizes: tuple[str, ...] = ()


BRANDS = (
    "Alvoro", "Belmara", "Brixton Lane", "Calderis", "Corvane", "Delvio", "Doverly", "Elvanto", "Fenwick Row",
    "Finoak", "Gravia", "Halden", "Ilvara", "Jorvik", "Kestrelo", "Kinmora", "Lumeno", "Lyndale", "Marovia",
    "Mirelle", "Nordhaven", "Novatek", "Orlanto", "Pellavo", "Pixoria", "Quenby", "Ravello", "Rosmere", "Sandrino",
    "Solvik", "Tamesis", "Tekvolt", "Torrano", "Umbrio", "Valtero", "Velmont", "Voltara", "Wexley", "Yarrowe",
    "Zentiva", "Zephyra", "Zolvar",
)  # fmt: skip

ADJECTIVES = (
    "classic", "elegant", "modern", "vintage", "casual", "premium", "stylish", "slim", "lightweight", "handmade",
    "durable", "everyday", "luxury", "minimalist", "retro", "original", "trendy", "compact",
)  # fmt: skip

NOISE = (
    "NEW!!", "free shipping", "SALE", "hot sale", "best price", "100% original", "gift idea", "limited edition",
    "fast delivery", "2026 model", "top quality", "HOT", "** bestseller **", "w/ box", "in stock", "wholesale",
)  # fmt: skip

AUDIENCES = ("for men", "for women", "unisex", "for kids", "for him", "for her")

CLOSINGS = (
    "Ships within two days.",
    "Comes in a gift box.",
    "Two year warranty.",
    "Easy returns within 30 days.",
    "Please check the size before you order.",
    "Colors may differ slightly from the picture.",
)

_JEWELRY = "Accessories > Jewelry > "
_BAGS = "Accessories > Bags > "
_SHOES = "Fashion > Shoes > "
_CLOTHES = "Fashion > Clothing > "
_COMPUTERS = "Electronics > Computers > "
_AUDIO = "Electronics > Audio > "
_MOBILE = "Electronics > Phones > "
_KITCHEN = "Home > Kitchen > "

_VOCABULARIES: dict[str, Vocabulary] = {
    "wrist watch": Vocabulary(
        "Accessories > Watches > Wrist watches",
        ("wrist watch", "watch", "quartz watch", "analog wristwatch", "timepiece"),
        (35, 480),
        ("quartz movement", "scratch resistant crystal", "luminous hands", "water resistant to 50 m", "date window"),
        ("the office", "every day", "a formal evening", "travel"),
        ("38 mm", "40 mm", "42 mm"),
    ),
    "smart watch": Vocabulary(
        "Electronics > Wearables > Smart watches",
        ("smart watch", "smartwatch", "fitness watch", "sport tracker watch"),
        (49, 420),
        ("heart rate sensor", "GPS tracking", "sleep tracking", "touch display", "seven day battery"),
        ("running", "workouts", "swimming", "every day"),
        ("41 mm", "45 mm"),
    ),
    "ring": Vocabulary(
        _JEWELRY + "Rings",
        ("ring", "finger ring", "engagement ring", "band ring", "statement ring"),
        (18, 690),
        ("polished band", "hand set stone", "comfort fit", "nickel free"),
        ("engagements", "weddings", "a proposal", "every day"),
        ("size 6", "size 7", "size 8", "size 9"),
    ),
    "necklace": Vocabulary(
        _JEWELRY + "Necklaces",
        ("necklace", "pendant necklace", "chain necklace", "pendant", "choker"),
        (15, 520),
        ("delicate chain", "lobster clasp", "adjustable length", "hand polished pendant"),
        ("evenings out", "anniversaries", "layering", "weddings"),
        ("40 cm", "45 cm", "50 cm"),
    ),
    "earrings": Vocabulary(
        _JEWELRY + "Earrings",
        ("earrings", "ear studs", "drop earrings", "hoops", "pair of earrings"),
        (9, 260),
        ("secure backs", "hypoallergenic posts", "hand set stones", "light on the ear"),
        ("parties", "weddings", "every day", "sensitive ears"),
    ),
    "bracelet": Vocabulary(
        _JEWELRY + "Bracelets",
        ("bracelet", "bangle", "charm bracelet", "wrist chain", "cuff bracelet"),
        (12, 310),
        ("adjustable clasp", "polished links", "hand strung beads", "secure lock"),
        ("stacking", "anniversaries", "summer", "every day"),
        ("17 cm", "19 cm"),
    ),
    "handbag": Vocabulary(
        _BAGS + "Handbags",
        ("handbag", "shoulder bag", "tote bag", "ladies bag", "purse bag"),
        (29, 390),
        ("zip pocket inside", "magnetic closure", "detachable strap", "soft lining", "gold tone hardware"),
        ("the office", "shopping", "evenings out", "travel"),
    ),
    "backpack": Vocabulary(
        _BAGS + "Backpacks",
        ("backpack", "rucksack", "daypack", "school bag", "laptop backpack"),
        (24, 190),
        ("padded straps", "laptop sleeve", "water repellent fabric", "side pockets", "hidden back pocket"),
        ("school", "hiking", "commuting", "travel"),
        ("18 L", "22 L", "28 L"),
    ),
    "wallet": Vocabulary(
        "Accessories > Wallets",
        ("wallet", "purse", "card holder", "billfold", "coin wallet"),
        (14, 140),
        ("RFID protection", "eight card slots", "coin pocket", "slim fold"),
        ("cards and cash", "travel", "a gift"),
    ),
    "belt": Vocabulary(
        "Accessories > Belts",
        ("belt", "waist belt", "buckle belt", "dress belt", "jeans belt"),
        (14, 120),
        ("metal buckle", "five holes", "stitched edges", "reversible strap"),
        ("jeans", "suits", "the office", "every day"),
        ("90 cm", "100 cm", "110 cm"),
    ),
    "sunglasses": Vocabulary(
        "Accessories > Eyewear > Sunglasses",
        ("sunglasses", "shades", "sun glasses", "polarized sunglasses"),
        (15, 240),
        ("UV400 lenses", "polarized lenses", "spring hinges", "light frame"),
        ("the beach", "driving", "summer", "sports"),
    ),
    "eyeglasses": Vocabulary(
        "Accessories > Eyewear > Eyeglasses",
        ("eyeglasses", "glasses", "spectacles", "reading glasses", "optical frame"),
        (19, 260),
        ("clear lenses", "spring hinges", "adjustable nose pads", "blue light filter"),
        ("reading", "screen work", "every day"),
        ("+1.0", "+1.5", "+2.0"),
    ),
    "sneaker": Vocabulary(
        _SHOES + "Sneakers",
        ("sneaker", "sneakers", "running shoe", "trainers", "sport shoes"),
        (39, 210),
        ("cushioned sole", "breathable upper", "rubber outsole", "padded collar"),
        ("running", "the gym", "walking", "every day"),
        ("EU 38", "EU 40", "EU 42", "EU 44"),
    ),
    "boot": Vocabulary(
        _SHOES + "Boots",
        ("boots", "boot", "ankle boots", "winter boots", "lace up boots"),
        (49, 290),
        ("warm lining", "lugged sole", "waterproof seams", "side zip"),
        ("winter", "hiking", "rain", "city walks"),
        ("EU 38", "EU 40", "EU 42", "EU 44"),
    ),
    "t-shirt": Vocabulary(
        _CLOTHES + "T-shirts",
        ("t-shirt", "tee", "shirt", "short sleeve shirt", "crew neck tee"),
        (9, 60),
        ("soft jersey", "ribbed collar", "regular fit", "pre washed fabric"),
        ("summer", "layering", "the gym", "every day"),
        ("S", "M", "L", "XL"),
    ),
    "cap": Vocabulary(
        "Accessories > Headwear > Caps",
        ("cap", "baseball cap", "snapback", "sport cap", "trucker cap"),
        (9, 55),
        ("adjustable strap", "curved visor", "breathable panels", "stitched eyelets"),
        ("sports", "summer", "every day"),
    ),
    "scarf": Vocabulary(
        "Accessories > Scarves",
        ("scarf", "shawl", "neck scarf", "winter scarf", "wrap"),
        (12, 130),
        ("soft touch", "fringed ends", "fine knit", "wide cut"),
        ("winter", "cool evenings", "travel"),
        ("180 x 30 cm", "200 x 70 cm"),
    ),
    "umbrella": Vocabulary(
        "Accessories > Umbrellas",
        ("umbrella", "folding umbrella", "rain umbrella", "parasol", "windproof umbrella"),
        (11, 75),
        ("windproof ribs", "automatic opening", "water repellent canopy", "curved handle"),
        ("rain", "storms", "commuting", "travel"),
    ),
    "mug": Vocabulary(
        _KITCHEN + "Mugs",
        ("mug", "coffee mug", "cup", "tea cup", "coffee cup"),
        (6, 38),
        ("dishwasher safe", "large handle", "glazed inside", "microwave safe"),
        ("coffee", "tea", "breakfast", "the office"),
        ("300 ml", "350 ml", "450 ml"),
    ),
    "water bottle": Vocabulary(
        _KITCHEN + "Water bottles",
        ("water bottle", "bottle", "drinking bottle", "thermo flask", "sport bottle"),
        (9, 48),
        ("leak proof lid", "double wall", "keeps drinks cold", "BPA free"),
        ("the gym", "school", "hiking", "travel"),
        ("500 ml", "750 ml", "1 L"),
    ),
    "computer mouse": Vocabulary(
        _COMPUTERS + "Mice",
        ("computer mouse", "mouse", "wireless mouse", "gaming mouse", "optical mouse"),
        (9, 95),
        ("adjustable DPI", "silent click", "ergonomic grip", "USB receiver"),
        ("gaming", "the office", "laptops", "home office"),
    ),
    "keyboard": Vocabulary(
        _COMPUTERS + "Keyboards",
        ("keyboard", "mechanical keyboard", "gaming keyboard", "wireless keyboard", "pc keyboard"),
        (19, 180),
        ("mechanical switches", "backlit keys", "quiet typing", "tilt feet"),
        ("gaming", "the office", "typing", "home office"),
    ),
    "headphones": Vocabulary(
        _AUDIO + "Headphones",
        ("headphones", "headset", "over ear headphones", "wireless headphones", "stereo headphones"),
        (24, 360),
        ("noise cancelling", "deep bass", "soft ear cushions", "30 hour battery"),
        ("music", "travel", "gaming", "the office"),
    ),
    "earbuds": Vocabulary(
        _AUDIO + "Earbuds",
        ("earbuds", "wireless earbuds", "earphones", "in ear headphones", "ear pods"),
        (15, 220),
        ("charging case", "noise isolation", "touch control", "sweat proof"),
        ("running", "music", "calls", "commuting"),
    ),
    "phone": Vocabulary(
        _MOBILE + "Smartphones",
        ("phone", "smartphone", "mobile phone", "cell phone", "android phone"),
        (129, 1190),
        ("dual camera", "fast charging", "bright display", "dual SIM"),
        ("photos", "calls", "gaming", "every day"),
        ("64 GB", "128 GB", "256 GB"),
    ),
    "phone case": Vocabulary(
        _MOBILE + "Phone cases",
        ("phone case", "phone cover", "protective case", "cell phone case", "bumper case"),
        (6, 49),
        ("raised edges", "shock absorbing corners", "wireless charging ready", "precise cutouts"),
        ("drop protection", "every day", "a gift"),
    ),
    "charger": Vocabulary(
        _MOBILE + "Chargers",
        ("charger", "wall charger", "usb charger", "power adapter", "fast charger"),
        (8, 60),
        ("fast charging", "two USB ports", "foldable plug", "overheat protection"),
        ("phones", "tablets", "travel", "the desk"),
        ("20 W", "30 W", "65 W"),
    ),
    "power bank": Vocabulary(
        _MOBILE + "Power banks",
        ("power bank", "powerbank", "portable charger", "external battery", "battery pack"),
        (14, 85),
        ("charge indicator", "two USB ports", "fast charging", "pocket size"),
        ("travel", "phones", "festivals", "hiking"),
        ("10000 mAh", "20000 mAh"),
    ),
    "camera": Vocabulary(
        "Electronics > Cameras > Digital cameras",
        ("camera", "digital camera", "photo camera", "compact camera", "mirrorless camera"),
        (99, 1290),
        ("optical zoom", "image stabilization", "4K video", "flip screen"),
        ("travel", "portraits", "family photos", "vlogging"),
    ),
    "speaker": Vocabulary(
        _AUDIO + "Speakers",
        ("speaker", "bluetooth speaker", "loudspeaker", "portable speaker", "sound box"),
        (19, 280),
        ("deep bass", "splash proof", "12 hour battery", "stereo pairing"),
        ("parties", "music", "the garden", "the desk"),
    ),
}


def vocabulary_of(category: str) -> Vocabulary:
    """The words of a category; a category nobody wrote words for gets plain ones from its name."""
    found = _VOCABULARIES.get(category)
    if found is not None:
        return found
    name = category.capitalize()
    return Vocabulary(f"More > {name}", (category,), (9, 90), ("well made", "simple to use"), ("every day", "a gift"))
