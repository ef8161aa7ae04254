"""Words for the made-up books of `trimetric.data.bookshop`.

All titles and names are put together from these words; where one is that of a real book or person,
that is chance.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shelf:
    """Books of one kind: each title is a pattern with one subject in place of {}."""

    genre: str
    name: str
    patterns: tuple[str, ...]
    subjects: tuple[str, ...]


def _parts(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


def _shelf(genre: str, name: str, patterns: str, subjects: str) -> Shelf:
    return Shelf(genre, name, _parts(patterns), _parts(subjects))


SHELVES = (
    _shelf(
        "mystery",
        "village mysteries",
        "The {} Murders|Death at the {}|A Stranger in the {}|The Secret of the {}|Poison at the {}",
        "Lighthouse|Vicarage|Watermill|Tea Room|Village Hall|Rose Garden|Bell Tower|Boathouse"
        "|Orchard|Post Office|Manor|Chapel|Bakery|Ferry House|Cricket Pavilion|Old School|Windmill"
        "|Library|Greenhouse|Duck Pond",
    ),
    _shelf(
        "mystery",
        "city detectives",
        "Rain on {}|The {} Case|Midnight on {}|A Body on {}|The Informer of {}",
        "Harbour Street|Canal Row|Ninth Avenue|Tanner's Lane|Gaslight Alley|Mercer Square"
        "|Iron Bridge Road|Dock Street|Lantern Lane|Fleet Row|Copper Street|Station Square"
        "|Salt Market|Foundry Hill|Crescent Place|Weaver's Yard|Quay Street|Opera Square"
        "|Glass Street|Mill Road",
    ),
    _shelf(
        "mystery",
        "mysteries at sea",
        "Death Aboard the {}|The {} Mystery|Murder on the {}|The Missing Captain of the {}"
        "|No Witness on the {}",
        "Evening Star|Albatross|Northern Queen|Silver Gull|Marigold|Sea Lark|Duchess|Blue Heron"
        "|Saint Agnes|Morning Tide|Curlew|Calypso|Guillemot|Providence|Kittiwake|White Swan"
        "|Esperance|Petrel|Amber Coast|Osprey",
    ),
    _shelf(
        "mystery",
        "cold cases",
        "The {} File|What Happened to {}|Finding {}|The Silence of {}|The Last Letter of {}",
        "Clara Voss|Daniel Marsh|Ines Calder|Tom Ferrow|Ruth Hallam|Peter Lindgate|Ada Quill"
        "|Simon Thorne|Margaret Dow|Lukas Brandt|Nora Whitlow|Edwin Pryce|Hanna Sorrel|Owen Tarrant"
        "|Vera Kestrel|Jonas Hale|Alice Merrow|Felix Garrow|Greta Lund|Hugh Ashdown",
    ),
    _shelf(
        "romance",
        "seaside love",
        "A Summer at {}|Letters from {}|The Little Bookshop at {}|Sunrise over {}|Love Comes to {}",
        "Pebble Bay|Gull Cove|Sandy Point|Whitesand|Marlin Quay|Heron Bay|Shell Harbour"
        "|Driftwood Cove|Penny Sands|Coral Point|Anchor Bay|Lowtide|Seagrass Island|Mermaid Cove"
        "|Cockle Beach|Sunset Quay|Pearl Bay|Saltmarsh|Dune End|Starfish Lane",
    ),
    _shelf(
        "romance",
        "ballrooms and letters",
        "A Waltz with the {}|How to Refuse the {}|The {} and the Letter|Dancing with the {}"
        "|The {}'s Secret Promise",
        "Duke|Viscount|Earl|Marquess|Governess|Colonel|Curate|Heiress|Baronet|Captain|Gentleman"
        "|Widow|Ambassador|Countess|Lieutenant|Squire|Duchess|Portrait Painter|Botanist"
        "|Dancing Master",
    ),
    _shelf(
        "romance",
        "love at work",
        "Falling for the {}|The {} Next Door|Coffee with the {}|My Rival, the {}"
        "|A Second Chance for the {}",
        "Baker|Vet|Architect|Librarian|Florist|Pilot|Chef|Carpenter|Night Nurse|Editor|Violinist"
        "|Firefighter|Gardener|Surgeon|Barista|Photographer|Translator|Lawyer|Teacher"
        "|Weather Reporter",
    ),
    _shelf(
        "romance",
        "winter love",
        "Snow over {}|Christmas at {}|A Sleigh Ride to {}|The Mistletoe of {}|One Winter at {}",
        "Maple Hill|Pine Valley|Frost Creek|Holly Village|Silver Birch|Candle Street|Bellbrook"
        "|Ivy Lane|Kindle Bay|Reindeer Falls|Starlight Farm|Cedar Ridge|Robin's Gate|Little Norway"
        "|Fireside Inn|Hazel Corner|Sugar Mill|Crystal Lake|Lantern Hill|Wren Cottage",
    ),
    _shelf(
        "science fiction",
        "space voyages",
        "The {} Mission|Beyond {}|Voyage to {}|Signals from {}|The Last Ship to {}",
        "Andara|Kepler's Rest|Tau Station|Vesper Nine|Orrery|Callisto Gate|New Meridian|Halcyon"
        "|Far Antares|Cygnus Reach|Proxima Deep|Eos Prime|Umbra|Titan's Edge|Lyra Six|Perihelion"
        "|Sagan Point|Nadir|Helix Nine|Arcturus Minor",
    ),
    _shelf(
        "science fiction",
        "thinking machines",
        "The {} Machine|The {} Algorithm|A {} Mind|Children of the {} Code|The {} Android",
        "Memory|Silent|Mirror|Copper|Glass|Patient|Borrowed|Second|Midnight|Paper|Perfect|Hollow"
        "|Gentle|Dreaming|Forgotten|Quiet|Silver|Lonely|Restless|Counting",
    ),
    _shelf(
        "science fiction",
        "travels in time",
        "The {}'s Paradox|The {} from Tomorrow|The Day the {} Came Back|Seven Yesterdays of the {}"
        "|The {} outside Time",
        "Clockmaker|Historian|Watchman|Postman|Stranger|Physicist|Twin|Messenger|Astronomer"
        "|Conductor|Inventor|Passenger|Archivist|Mapmaker|Grandfather|Composer|Telegraphist|Pilgrim"
        "|Tailor|Glassblower",
    ),
    _shelf(
        "science fiction",
        "far colonies",
        "The {} Colony|Winter on {}|The Gardens of {}|First Harvest on {}|The Children of {}",
        "Maresh|Tharsis|Ganymede|Velorum|Sable|Ixion|Haumea|Lowell|Nova Terra|Ceres|Brightwater"
        "|Thule|Ocean Nine|Rhea|Kadesh|Elara|Mirach|Solace|Dusk|Far Haven",
    ),
    _shelf(
        "fantasy",
        "dragons and crowns",
        "The Dragon of {}|The Crown of {}|The Last Queen of {}|A Throne in {}|The Siege of {}",
        "Aldermoor|Vael|Harrowmere|Castle Orn|Tirandel|Eastmark|Brannoch|Sundhold|Ysmere|Karrow"
        "|Wintergate|Ombria|Dunharrow Vale|Lirien|Stormwick|Highfell|Corvane|Marrowdeep|Elmsend"
        "|Thornhold",
    ),
    _shelf(
        "fantasy",
        "witches and spells",
        "The {} Witch|A {} Spell|The {} Grimoire|Tea with the {} Witch|The {} Coven",
        "Hedge|Salt|Moonlit|Marsh|Candle|Thorn|Reluctant|Parchment|Willow|Kitchen|Bramble|Winter"
        "|Saffron|Raven|Honey|Thistle|Foxglove|Cobweb|Pewter|Blackberry",
    ),
    _shelf(
        "fantasy",
        "quests and swords",
        "The Sword of {}|A Road of {}|The Oath of {}|The Thief of {}|Heirs of {}",
        "Embers|Iron|Broken Glass|Salt and Stone|Thorns|Nine Rivers|Falling Snow|Old Gods|Shadows"
        "|Silver Leaves|Bones|Storms|Bright Water|Ash|Lost Names|Winter Kings|Deep Roots|Ravens"
        "|Hollow Hills|Cold Stars",
    ),
    _shelf(
        "fantasy",
        "legends of the sea",
        "Pirates of the {}|The Mermaid of the {}|The Map of the {}|Storm over the {}"
        "|The Drowned King of the {}",
        "Amber Sea|Broken Isles|Singing Reef|Black Shoals|Emerald Strait|Whale Road"
        "|Thousand Harbours|Sunken City|Pearl Coast|Misty Gulf|Silent Deep|Crooked Cape|Glass Ocean"
        "|Northern Maelstrom|Turtle Banks|Ghost Current|Moon Tide|Serpent Channel|Burning Bay"
        "|Lost Archipelago",
    ),
    _shelf(
        "history",
        "the ancient world",
        "The Rise of {}|An Ordinary Day in {}|The Fall of {}|The Builders of {}"
        "|{} in Fifty Objects",
        "Babylon|Carthage|Troy|Nineveh|Athens|Sparta|Thebes|Ur|Persepolis|Knossos|Memphis"
        "|Alexandria|Palmyra|Petra|Etruria|Mycenae|Tyre|Nubia|Phrygia|Pompeii",
    ),
    _shelf(
        "history",
        "explorers",
        "Across the {}|Mapping the {}|The First Ships in the {}|Lost in the {}|The Race for the {}",
        "Arctic|Pacific|Antarctic|Sahara|Northwest Passage|Caribbean|Indian Ocean|Gobi|Outback"
        "|Amazon Basin|Congo Basin|Spice Islands|Bering Strait|Red Sea|Patagonian Ice|Baltic"
        "|Black Sea|Coral Sea|Great Plains|Empty Quarter",
    ),
    _shelf(
        "history",
        "the age of machines",
        "A History of the {}|How the {} Changed the World|The Age of the {}|The {} and Its Makers"
        "|Inventing the {}",
        "Steam Engine|Canal|Telegraph|Cotton Mill|Printing Press|Bicycle|Railway|Light Bulb"
        "|Iron Bridge|Sewing Machine|Lighthouse|Pocket Watch|Typewriter|Tram|Coal Mine|Glassworks"
        "|Shipyard|Weaving Loom|Radio|Camera",
    ),
    _shelf(
        "history",
        "goods and trade",
        "A Thousand Years of {}|The Long Story of {}|The Trade in {}"
        "|How {} Travelled the World|{} and Empire",
        "Salt|Tea|Silk|Paper|Coffee|Pepper|Sugar|Glass|Indigo|Amber|Wool|Porcelain|Honey|Cocoa"
        "|Tulips|Herring|Cinnamon|Ink|Soap|Saffron",
    ),
    _shelf(
        "cooking",
        "baking",
        "Baking {}|Simply {}|The {} Handbook|{} for Sundays|A Year of {}",
        "Sourdough|Rye Bread|Brioche|Shortbread|Scones|Croissants|Flatbread|Apple Pies"
        "|Cinnamon Buns|Macarons|Tarts|Gingerbread|Focaccia|Bagels|Cheesecake|Pretzels|Meringues"
        "|Muffins|Birthday Cakes|Biscuits",
    ),
    _shelf(
        "cooking",
        "vegetables",
        "Cooking with {}|{} All Year|Fifty Ways with {}|The Little Book of {}|{} and Friends",
        "Tomatoes|Pumpkins|Mushrooms|Beetroot|Leeks|Chickpeas|Lentils|Peppers|Cabbages|Potatoes"
        "|Courgettes|Spinach|Artichokes|Carrots|Beans|Asparagus|Onions|Fennel|Peas|Radishes",
    ),
    _shelf(
        "cooking",
        "slow suppers",
        "Soups from {}|Slow Suppers from {}|One Pot from {}|Winter Cooking in {}|A Kitchen in {}",
        "Provence|Galicia|Tuscany|Andalusia|Bavaria|Lisbon|Normandy|Sicily|Transylvania|Cornwall"
        "|Crete|Piedmont|Brittany|Dalmatia|Alsace|Corsica|Umbria|Lapland|Burgundy|Madeira",
    ),
    _shelf(
        "cooking",
        "street food",
        "Street Food of {}|Spices of {}|Night Markets of {}|Eating Out in {}"
        "|A Hundred Snacks from {}",
        "Hanoi|Bangkok|Penang|Delhi|Istanbul|Mexico City|Marrakesh|Taipei|Mumbai|Beirut|Osaka|Lima"
        "|Jakarta|Cairo|Seoul|Lagos|Singapore|Tbilisi|Kathmandu|Havana",
    ),
    _shelf(
        "travel",
        "mountain walks",
        "Walking the {}|High Paths of the {}|A Month in the {}|Huts and Ridges of the {}"
        "|Alone across the {}",
        "Alps|Pyrenees|Dolomites|Carpathians|Cairngorms|Andes|Atlas|Apennines|Caucasus|Tatras"
        "|Rockies|Highlands|Lake District|Black Forest|Vosges|Himalaya|Pamirs|Cévennes"
        "|Sierra Nevada|Jura",
    ),
    _shelf(
        "travel",
        "slow trains",
        "The Slow Train to {}|Night Sleeper to {}|By Rail to {}|A Window Seat to {}"
        "|Platform Two for {}",
        "Vienna|Trieste|Narvik|Lausanne|Seville|Samarkand|Palermo|Budapest|Inverness|Vladivostok"
        "|Marseille|Krakow|Porto|Belgrade|Tallinn|Zagreb|Geneva|Odessa|Bergen|Prague",
    ),
    _shelf(
        "travel",
        "islands",
        "An Island Called {}|A Winter on {}|The Ferry to {}|Small Roads of {}|Swimming round {}",
        "Skye|Gotland|Corfu|Zanzibar|Jersey|Naxos|Sardinia|Elba|Tasmania|Mull|Öland|Malta|Paros"
        "|Bornholm|Samoa|Harris|Hvar|Ischia|Menorca|Lewis",
    ),
    _shelf(
        "travel",
        "great rivers",
        "Down the {}|A Boat on the {}|The Banks of the {}|Sources of the {}|Slowly along the {}",
        "Danube|Rhine|Nile|Mekong|Loire|Volga|Ganges|Amazon|Douro|Elbe|Congo|Niger|Severn|Orinoco"
        "|Yangtze|Tigris|Rhône|Po|Vistula|Zambezi",
    ),
    _shelf(
        "children",
        "animal friends",
        "The Very Shy {}|A Hat for {}|{} and the Big Red Bus|Where Is {}?|{} Learns to Swim",
        "Hedgehog|Badger|Owl|Elephant|Penguin|Otter|Bear|Rabbit|Mole|Giraffe|Fox|Mouse|Hippo"
        "|Squirrel|Duck|Lion|Tortoise|Frog|Goose|Donkey",
    ),
    _shelf(
        "children",
        "bedtime stories",
        "The Moon and the {}|Goodnight to the {}|The Sleepy {}|A Blanket for the {}"
        "|Hush, Little {}",
        "Train|Star|Boat|Tractor|Cloud|Lamb|Kitten|Teddy|Snowman|Rocket|Dinosaur|Pony|Whale|Robot"
        "|Firefly|Digger|Lighthouse|Puppy|Caterpillar|Balloon",
    ),
    _shelf(
        "children",
        "school adventures",
        "Trouble at {}|First Term at {}|The {} Secret Club|Holiday Detectives of {}"
        "|The Ghost of {}",
        "Thornbury|Maplewood|Ravensbrook|Highcliffe|Penrose|Applegarth|Stonebridge|Larkfield"
        "|Winterbourne|Greyfriars Court|Oakhurst|Merriton|Foxley|Seaview|Brackenhill|Summerlea"
        "|Kingsmere|Bluebell House|Ashgrove|Owlscote",
    ),
    _shelf(
        "children",
        "monsters and nonsense",
        "The Monster in My {}|Grandpa's Magic {}|Who Stole the {}?|The Enormous {}"
        "|My Teacher Ate the {}",
        "Wardrobe|Sandwich|Bathtub|Trumpet|Pyjamas|Pudding|Lunchbox|Slippers|Sausage|Umbrella"
        "|Biscuit Tin|Wellington Boot|Pancake|Sofa|Toothbrush|Spaghetti|Fridge|Piano|School Bag"
        "|Birthday Cake",
    ),
    _shelf(
        "science",
        "the sky at night",
        "The Secret Life of {}|Looking at {}|The Physics of {}|{} for Beginners"
        "|Ten Lessons about {}",
        "Comets|Black Holes|Galaxies|Neutron Stars|Eclipses|Meteorites|Telescopes|Nebulae|Asteroids"
        "|Moons|Supernovae|Auroras|Pulsars|Constellations|Exoplanets|Sunspots|Quasars|Red Giants"
        "|Orbits|Dark Matter",
    ),
    _shelf(
        "science",
        "living things",
        "The Hidden World of {}|A Year among {}|How {} Live|Listening to {}|The Return of {}",
        "Bees|Owls|Whales|Oaks|Ants|Octopuses|Swifts|Mosses|Wolves|Salmon|Butterflies|Fungi|Crows"
        "|Otters|Hedgehogs|Eels|Lichens|Bats|Beavers|Ferns",
    ),
    _shelf(
        "science",
        "mathematics",
        "The Joy of {}|{} without Fear|A Short Walk through {}|The Beauty of {}|Thinking in {}",
        "Prime Numbers|Geometry|Infinity|Probability|Symmetry|Fractals|Logic|Calculus|Knots|Graphs"
        "|Zeros|Algebra|Puzzles|Codes|Randomness|Topology|Curves|Statistics|Proofs|Games",
    ),
    _shelf(
        "science",
        "the body",
        "The {} Explained|Your Remarkable {}|How the {} Works|Inside the {}|The Story of the {}",
        "Brain|Heart|Immune System|Eye|Gut|Skeleton|Inner Ear|Sleeping Mind|Skin|Nervous System"
        "|Lung|Hand|Teenage Brain|Voice|Liver|Genome|Sense of Smell|Ageing Body|Muscle|Backbone",
    ),
    _shelf(
        "home and garden",
        "gardens",
        "The {} Garden|Planting the {} Garden|A {} Garden in a Year|Notes from the {} Garden"
        "|The {} Gardener",
        "Cottage|Shady|Kitchen|Balcony|Wildflower|Gravel|Walled|Seaside|Herb|Moss|Winter|Woodland"
        "|Rooftop|Butterfly|Container|Rose|Courtyard|Small Town|Hillside|Moonlight",
    ),
    _shelf(
        "home and garden",
        "knitting",
        "Knitting {}|{} by Hand|Weekend {}|The Big Book of {}|Colourful {}",
        "Socks|Mittens|Scarves|Jumpers|Hats|Blankets|Shawls|Cardigans|Baby Booties|Cushions|Gloves"
        "|Tea Cosies|Cowls|Bed Socks|Ponchos|Toys|Waistcoats|Leg Warmers|Bonnets|Wraps",
    ),
    _shelf(
        "home and garden",
        "woodwork",
        "Build Your Own {}|The Perfect {}|A {} in Ten Evenings|The Carpenter's {}|How to Make a {}",
        "Bookcase|Stool|Workbench|Rocking Chair|Toy Chest|Bird House|Kitchen Table|Canoe|Ladder"
        "|Cupboard|Guitar|Sledge|Bed|Treehouse|Spoon|Bench|Picture Frame|Rowing Boat|Doll's House"
        "|Garden Gate",
    ),
    _shelf(
        "home and garden",
        "drawing and painting",
        "Painting {}|{} in Watercolour|Sketching {}|A Beginner's Book of {}|Light on {}",
        "Flowers|Skies|Harbours|Portraits|Birds|Trees|Still Lifes|Seascapes|Gardens|Animals|Clouds"
        "|City Streets|Mountains|Hands|Boats|Fruit|Snow|Old Houses|Rivers|Reflections",
    ),
)

FIRST_NAMES = _parts(
    "Agnes|Alba|Anders|Anouk|Arlo|Basil|Beata|Bram|Carys|Cosima|Dagny|Dorian|Edda|Elias|Enid"
    "|Farrah|Fergus|Gaspard|Gwen|Hedda|Ida|Ilya|Imogen|Ingrid|Jasper|Jonna|Kit|Lark|Leif|Linnea"
    "|Lorcan|Maeve|Magnus|Mirela|Nils|Odile|Oona|Orla|Osric|Pascal"
)

LAST_NAMES = _parts(
    "Abernale|Amblecote|Arkwell|Bellasize|Birkholt|Brackenridge|Calloway-Finch|Cardewell|Corvell"
    "|Dunmarrow|Eddowell|Elderkin|Fairbourne-Moss|Fenwright|Galbrook|Garrowby|Harkstone|Hathersedge"
    "|Heronsgate|Inglewhite|Kettleby|Kirrin-Vale|Lanternby|Larkham|Lindqvale|Lockersby|Marchbanksen"
    "|Merriwold|Nettlefold|Norrington-Ash|Oakhanger|Orchardson|Pellingham|Pennyfeather|Quillfeather"
    "|Rookwell|Sandringale|Silverdale|Skelmere|Southerby|Tamberlin|Thistlewood|Umberleigh"
    "|Vanstone-Reed|Wetherlam|Whinstone|Wickerby|Winterburn|Wolvercote|Yarrowby"
)
