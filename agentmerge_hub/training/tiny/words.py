"""Words of the synthetic pages: labels of user interfaces, first names, Latin filler, plain English, made-up words."""

import random


def _listed(text: str) -> list[str]:
    return text.split()


LABELS = _listed("""
    Submit Cancel OK Ok Okay Yes No Next Previous Back Close Open Save Delete Edit Search Login Logout Register
    Send Reply Forward Add Remove Clear Reset Continue Finish Start Stop Help Home Menu Settings Profile Account
    Name Username Password Verify Confirm Email Address City Country Phone Date Time Title Message Comment Subject
    Category Price Quantity Total Order Buy Cart Checkout Payment Upload Download File Folder New Print Share Like
    Follow Accept Decline Agree Apply Filter Sort View Show Hide More Less Select Choose Enter Language Color Size
    Tab Section Page List Table Row First Last submit cancel ok okay yes no next previous x close open login
    search text field button link ONE TWO THREE Dialog Form Task Test Click Focus Text Link Option Checkbox Box
    Area Input Me
""")

NAMES = _listed("""
    Alice Agnes Alan Albert Alma Amir Ana Anders Andrea Anita Anton Aria Arthur Astrid Aya Bella Ben Berta Bjorn
    Bruno Carla Carlos Cecilia Chen Chloe Clara Daniel David Deepa Diego Dora Edith Elena Eli Emil Emma Eric
    Esther Eva Farid Felix Fiona Frank Gina Grace Greta Hana Hannah Hector Helga Henry Hugo Ida Ines Ingrid Iris
    Ivan Jack Jamal James Jane Jin Joan Jonas Jorge Josef Julia Kai Karim Karl Kate Kim Lars Laura Lena Leo Lily
    Lin Linda Luca Lucia Luis Lukas Maria Marco Marie Mark Marta Max Maya Mei Mia Milan Mina Nadia Nina Noah Nora
    Olga Oliver Omar Oscar Paul Pedro Petra Priya Rana Rosa Ruth Sam Sara Simon Sofia Sven Tara Theo Thomas Tina
    Tom Uma Vera Victor Wei Yara Yuki Zoe
""")

LATIN = _listed("""
    lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore
    magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo
    consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat nulla pariatur excepteur sint
    occaecat cupidatat non proident sunt culpa qui officia deserunt mollit anim id est laborum vestibulum ante
    primis faucibus orci luctus ultrices posuere curae mauris viverra diam vitae quam suspendisse potenti nullam
    ac tortor at risus ornare maecenas pharetra convallis arcu dictum varius leo vel orci porta eget nunc lobortis
    mattis aliquam malesuada bibendum libero volutpat odio massa tincidunt praesent semper feugiat nibh pulvinar
    proin gravida hendrerit lectus urna porttitor rhoncus purus venenatis tellus pellentesque habitant morbi
    tristique senectus netus fames turpis egestas integer aliquet scelerisque fermentum blandit cursus euismod
    lacinia justo sollicitudin sagittis elementum imperdiet sodales dignissim cras ligula molestie
""")

ENGLISH = _listed("""
    apple river stone green blue red yellow chair window garden paper silver winter summer bread music little
    house morning night water light bird horse cloud mountain forest island market letter number story color
    flower orange lemon sugar coffee table school train plane ticket hotel museum bridge castle desert ocean storm
    candle mirror pencil basket
""")

GLUE = _listed("""
    the and into on in with to of both then press Click Enter Find Which What Where is are a an has bid labeled
    using clicking fields texts box input number element first second third fourth fifth page goal write fill it
    its this that from by I
""")

WORDS = (*LABELS, *NAMES, *LATIN, *ENGLISH)

_SYLLABLES = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
_ENDINGS = ("", "", "n", "r", "s", "l", "tha", "nne", "x")


def made_up(rng: random.Random) -> str:
    """A word nobody has seen: two or three syllables, or a few mixed letters and digits like a password."""
    if rng.random() < 0.3:
        return "".join(
            rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=rng.randint(2, 5))
        )
    word = "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3))) + rng.choice(_ENDINGS)
    return word.capitalize() if rng.random() < 0.5 else word


def word(rng: random.Random) -> str:
    """Mostly a known word, sometimes a made-up one."""
    return made_up(rng) if rng.random() < 0.15 else rng.choice(WORDS)


def phrase(rng: random.Random, most: int = 3) -> str:
    """One to `most` words, short ones more often."""
    return " ".join(word(rng) for _ in range(min(rng.randint(1, most), rng.randint(1, most))))
