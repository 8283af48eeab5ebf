"""How long the long verbs take on 2 cores, for their help texts."""

MAIN = "about 75 minutes from scratch on 2 cores, minutes when its networks are there"
ALL = "about 6 hours from scratch on 2 cores, most of them the two-step study"
STUDIES = {
    "two-step": "about an hour",
    "poolings": "about 20 minutes",
    "losses": "about 15 minutes after poolings",
    "extras": "minutes after main",
}
