"""How long the long verbs take on 2 cores, for their help texts."""

MAIN = "about 93 minutes from scratch on 2 cores, minutes when its networks are there"
ALL = "about 3 hours from scratch on 2 cores"
STUDIES = {
    "two-step": "about 50 minutes",
    "poolings": "about 25 minutes",
    "losses": "about 15 minutes after poolings",
    "extras": "minutes after main",
}
