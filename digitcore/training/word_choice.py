"""What synthetic pages say: words of four languages, invented ones, and text without any digit."""

import numpy as np

Rng = np.random.Generator

# What a person could read as a digit, or part of one, when it stands alone.
LOOK_ALIKES = frozenset("OoIlisSZzBbgqDQGJjy|")
COMMON_WORDS = tuple(
    """
the and for that with this from have not are was but all one out day get has him his how man new now old see two way who
did its let put say she too use about after again apple before being below bread bring carry chair child clean close
could dinner door dress drink early earth every family father field first floor fruit garden glass great green hand
happy heart heavy horse house kitchen large laugh learn letter light little market milk money month morning mother
mountain music name never night number often order other paper people phone picture place plant please point question
quick rain read river room school sell shop short sister small snow some street strong summer sugar table teacher thank
there thing think three time today tomorrow total train travel tree under until visit water weather week white window
winter woman word work world write year yellow young
und der die das nicht mit ein eine auf für von wir ihr auch nach über aber oder wenn haben werden machen gehen kommen
Milch Brot Käse Eier Butter Wasser Apfel Zucker Straße Haus Garten Schule Kinder Mutter Vater Tag Woche Monat Jahr heute
morgen Abend Nacht Montag Dienstag Mittwoch Freitag Termin Nummer Rechnung Summe Datum Unterschrift Adresse Telefon
schön grün weiß kaufen Bücher Tür Fenster Küche Hund Katze Vogel Bahnhof Zug Flughafen Auto Fahrrad danke bitte
le la les des une est dans pour que qui sur avec pas plus tout nous vous ils elle mais comme fait bien encore toujours
maison jardin école enfant mère père frère sœur pain lait fromage beurre eau sucre pomme jour semaine mois année matin
soir nuit lundi mardi vendredi rendez-vous numéro facture somme date adresse téléphone merci bonjour rue ville voiture
el los las una por con para como más pero sus este entre cuando todo también fue había muy hasta desde nos ni contra
casa jardín escuela niño madre padre hermano leche pan queso agua azúcar manzana día semana mes año mañana tarde noche
lunes martes viernes número cuenta fecha dirección teléfono gracias calle ciudad coche tren cocina ventana puerta perro
Anna Peter Maria Thomas Julia Martin Laura Michael Clara Robert Emma Jean Carmen Hans Marta Frank Elena Victor
kg cm Nr total pages room chapter note memo draft list from to subject copy name tel fax
""".split()
)
ENDINGS = (".", ",", "!", "?", ":", "-")
PRINT_ENDINGS = (".", ",", ";", ":", "!", "?")
MIN_CLEAR_RATIO = 0.4


def _count_followers(words: tuple[str, ...]) -> dict[str, str]:
    """Each letter's followers, as often as they follow; "^" begins a word."""
    followers: dict[str, str] = {}
    for word in words:
        plain = "^" + "".join(c for c in word.lower() if "a" <= c <= "z")
        for letter, after in zip(plain, plain[1:], strict=False):
            followers[letter] = followers.get(letter, "") + after
    return followers


FOLLOWERS = _count_followers(COMMON_WORDS)


def choose_word(rng: Rng, max_letters: int = 9) -> str:
    """A word to write by hand: 2 letters or more, real or invented, in small or capital letters, perhaps with a stop.

    It is never made of `LOOK_ALIKES` mostly: "so" and "Bill" could be digits.
    """
    for _ in range(20):
        chance = rng.random()
        word = _choose_common(rng) if chance < 0.55 else invent_word(rng, int(rng.integers(2, max_letters + 1)))
        case = rng.random()
        if case < 0.15:
            word = word.upper()
        elif case < 0.4:
            word = word[0].upper() + word[1:]
        if 2 <= len(word) <= max_letters and is_clearly_letters(word):
            return word + (ENDINGS[int(rng.integers(len(ENDINGS)))] if rng.random() < 0.12 else "")
    return "Rama"


def is_clearly_letters(word: str) -> bool:
    """Whether enough of a word's letters are none that could be digits."""
    letters = [c for c in word if c.isalpha()]
    n_clear = sum(c not in LOOK_ALIKES for c in letters)
    return n_clear >= max(1.0, MIN_CLEAR_RATIO * len(letters))


def invent_word(rng: Rng, n_letters: int) -> str:
    """A word of so many small letters that follow one another as in the languages above."""
    letter, word = "^", ""
    for _ in range(n_letters):
        after = FOLLOWERS.get(letter) or FOLLOWERS["^"]
        letter = after[int(rng.integers(len(after)))]
        word += letter
    return word


def choose_print_text(rng: Rng, n_words: int) -> list[str]:
    """Words of running print, with capitals and stops, and no digit."""
    words: list[str] = []
    begins = True
    for _ in range(n_words):
        word = _choose_common(rng) if rng.random() < 0.75 else invent_word(rng, int(rng.integers(2, 13)))
        if begins or rng.random() < 0.05:
            word = word[0].upper() + word[1:]
        begins = False
        if rng.random() < 0.14:
            ending = PRINT_ENDINGS[int(rng.integers(len(PRINT_ENDINGS)))]
            word, begins = word + ending, ending in ".!?"
        words.append(word)
    return words


def choose_printed_number(rng: Rng) -> str:
    """A number as forms and books print it: a page, a date, a sum, a telephone's."""
    pattern = (
        "d",
        "dd",
        "ddd",
        "dddd",
        "ddddd",
        "dd.dd.dddd",
        "d,dd",
        "ddd.dd",
        "d/d",
        "dd:dd",
        "ddd-dddd",
        "dddddddd",
    )
    chosen = pattern[int(rng.integers(len(pattern)))]
    return "".join(str(int(rng.integers(10))) if c == "d" else c for c in chosen)


def _choose_common(rng: Rng) -> str:
    return COMMON_WORDS[int(rng.integers(len(COMMON_WORDS)))]
