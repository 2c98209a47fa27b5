"""What the demo company's names are put together of. Nobody and nothing here is real."""

from typing import Final

GIVEN_NAMES: Final = (
    "Amara", "Anton", "Aylin", "Bruno", "Carla", "Chidi", "Clara", "Daniel", "Elif", "Emil", "Fatima", "Felix",
    "Greta", "Hanna", "Hugo", "Ines", "Ivan", "Jana", "Jonas", "Kaya", "Lena", "Leon", "Lucía", "Marek", "Mila",
    "Nadia", "Noah", "Olga", "Oskar", "Paula", "Ravi", "Rosa", "Samir", "Sofía", "Søren", "Tara", "Théo", "Vera",
    "Yuki", "Zoë",
)  # fmt: skip
FAMILY_NAMES: Final = (
    "Abara", "Aydın", "Bauer", "Becker", "Castillo", "Dahl", "Dvořák", "Eriksen", "Fischer", "Fontaine", "Grant",
    "Haddad", "Hoffmann", "Ibarra", "Jansen", "Keller", "Kimura", "Kowalski", "Larsen", "Lindqvist", "Marchetti",
    "Meyer", "Moreau", "Nowak", "Okafor", "Olsen", "Petrov", "Quinn", "Rossi", "Sato", "Schäfer", "Silva", "Tanaka",
    "Ulrich", "Vogel", "Wagner", "Weber", "Ximénez", "Young", "Zimmer",
)  # fmt: skip
FIRST_WORDS: Final = (
    "Alder", "Amber", "Beacon", "Birch", "Cedar", "Cobalt", "Copper", "Delta", "Ember", "Falcon", "Granite", "Harbor",
    "Ivory", "Juniper", "Keystone", "Lantern", "Maple", "Meridian", "Nimbus", "Northgate", "Orchard", "Pinnacle",
    "Quarry", "Redwood", "Saffron", "Summit", "Thistle", "Umber", "Vertex", "Willow",
)  # fmt: skip
SECOND_WORDS: Final = (
    "Analytics", "Foods", "Freight", "Health", "Hotels", "Instruments", "Labs", "Logistics", "Machines", "Media",
    "Mills", "Optics", "Packaging", "Robotics", "Software", "Textiles", "Tools", "Works",
)  # fmt: skip
LEGAL_FORMS: Final = ("GmbH", "Inc.", "Ltd", "AG", "S.A.", "B.V.")
INDUSTRIES: Final = (
    "manufacturing",
    "logistics",
    "health care",
    "retail",
    "software",
    "food",
    "hospitality",
    "media",
)
TITLES: Final = (
    "Head of Purchasing",
    "Operations Manager",
    "Managing Director",
    "IT Lead",
    "Plant Manager",
    "CFO",
)
TOWNS: Final = (
    # name, country, postal code, telephone number without its last two digits
    ("Hamburg", "DE", "20095", "040 32901 0"), ("Berlin", "DE", "10115", "030 20930 0"),
    ("München", "DE", "80331", "089 23300 0"), ("Wien", "AT", "1010", "01 51370 0"),
    ("Zürich", "CH", "8001", "044 412 11 "), ("London", "GB", "SW1A 2AA", "020 7946 00"),
    ("Paris", "FR", "75001", "01 42 76 00 "), ("New York", "US", "10001", "212 555 01"),
    ("Chicago", "US", "60601", "312 555 01"), ("Boston", "US", "02108", "617 555 01"),
)  # fmt: skip
DEALS: Final = ("new line", "extension", "renewal", "pilot", "second site")
SOURCES: Final = ("Web", "Trade fair", "Referral", "Newsletter", "Cold call", "Partner")
LOST_REASONS: Final = ("Price", "Chose a competitor", "No budget this year", "Project stopped", "No answer")
UNFIT_REASONS: Final = ("No budget", "Too small", "Wrong number", "Student project")
PRODUCTS: Final = (
    # code, name, family, list price in the reporting currency
    ("SN-100", "Sensor node", "Sensors", "149"),
    ("SN-200", "Sensor node, rugged", "Sensors", "289"),
    ("GW-10", "Gateway, 10 nodes", "Gateways", "890"),
    ("GW-100", "Gateway, 100 nodes", "Gateways", "3900"),
    ("CT-1", "Control unit", "Control", "2450"),
    ("CT-2", "Control unit, redundant", "Control", "5200"),
    ("LIC-S", "Monitoring, one site, one year", "Subscriptions", "4800"),
    ("LIC-E", "Monitoring, all sites, one year", "Subscriptions", "18500"),
    ("SVC-DAY", "Installation, one day", "Services", "1150"),
    ("SVC-CARE", "Care contract, one year", "Services", "6400"),
)
PROMOTIONS: Final = (
    # code, name, benefit and conditions as the API takes them; $CODE stands for the product's id
    (
        "STARTER",
        "Starter kit: ten nodes and their gateway",
        {
            "benefit": {
                "bundlePrice": {
                    "components": [
                        {"matching": {"productIds": ["$SN-100"]}, "quantity": 10},
                        {"matching": {"productIds": ["$GW-10"]}, "quantity": 1},
                    ],
                    "price": "1990",
                }
            }
        },
    ),
    (
        "SENSORS-4-FOR-3",
        "Every fourth sensor is free",
        {
            "benefit": {
                "buyGet": {
                    "buy": {"families": ["Sensors"]},
                    "buyQuantity": 3,
                    "get": {"families": ["Sensors"]},
                    "getQuantity": 1,
                    "percent": "100",
                }
            }
        },
    ),
    (
        "CARE-WITH-CONTROL",
        "A fifth off monitoring and care with a control unit",
        {
            "benefit": {
                "percentOff": {"percent": "20", "target": {"families": ["Subscriptions", "Services"]}}
            },
            "conditions": {"requirements": [{"matching": {"families": ["Control"]}, "minQuantity": "1"}]},
        },
    ),
    (
        "VOLUME",
        "3 % from 20,000, 5 % from 50,000",
        {
            "benefit": {
                "tiered": {
                    "measure": "SPEND",
                    "tiers": [
                        {"least": "20000", "percentOff": {"percent": "3"}},
                        {"least": "50000", "percentOff": {"percent": "5"}},
                    ],
                }
            },
            "phase": 1,
        },
    ),
)
COMPETITORS: Final = (
    # name, what they are good and bad at, and what is answered to their claims: claim, answer, evidence
    (
        "Birch Controls",
        ("Known in every plant: they have been there for forty years",),
        ("Their gateways talk to their own sensors only",),
        (
            (
                "Everything from one hand",
                "Ask what the next sensor will cost when there is one seller only; ours speak open protocols.",
                "Three of our customers kept their old sensors when they changed to our gateways.",
            ),
        ),
    ),
    (
        "Polar Sensing",
        ("The lowest price for a single sensor",),
        ("A battery lasts for a year", "No service on weekends"),
        (
            (
                "A third cheaper",
                "Count the batteries: over five years their sensor costs more than ours.",
                "Ours runs for six years on one battery, theirs is changed every year.",
            ),
        ),
    ),
)
WAREHOUSES: Final = (("OAK", "Oakland", "US", 37.80, -122.27), ("RTM", "Rotterdam", "NL", 51.92, 4.48))
TERRITORIES: Final = ("North", "Central", "Overseas")
