"""What is written differently and sounds the same is no error."""

import pytest

from training.spelling import errors, words


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Twenty five.", "25"),
        ("Three five seven.", "3, 5, 7."),
        ("Three five seven.", "357"),
        ("Nine.", "9."),
        ("It is seven thirty in the morning.", "It is 7:30 in the morning."),
        ("At seven oh five.", "At 7.05"),
        ("Today is Monday, the twenty first of May.", "Today is Monday, the 21st of May"),
        ("It is the thirtieth of June.", "It is the 30th of June."),
        ("Today is Saturday, the ninth of August.", "Today is Saturday, 9 August."),
        ("Today is Sunday, the eighth of December.", "Today is Sunday, 8th December."),
        ("It is the second of May.", "It is 2nd of May."),
        ("One hundred and five.", "105"),
        ("One hundred five.", "105"),
        ("Two plus three is five.", "2 + 3 = 5"),
        ("Nine minus four is five.", "9 - 4 = 5"),
        ("Five five five, one two.", "555-12"),
        ("The colour is grey.", "The color is gray."),
        ("Goodbye, and good night!", "Good bye and goodnight"),
        ("See you at six o'clock.", "See you at 6 oclock"),
        ("Zero zero one.", "001"),
        ("Twenty three and two three.", "23 and 23"),
        ("One thousand two hundred.", "1,200"),
    ],
)
def test_it_is_the_same(said: str, heard: str) -> None:
    assert errors(said, heard)[0] == 0


@pytest.mark.parametrize(
    ("said", "heard", "count"),
    [
        ("I can see it.", "I can't see it.", 1),
        ("Two.", "To.", 1),
        ("Twenty five.", "26", 1),
        ("It is red.", "", 3),
        ("Yes.", "Yes. Yes. Yes.", 2),
        ("The twenty first of May.", "The 22nd of May", 1),
        ("Three five.", "3 5 7", 1),
        ("It is the thirtieth of June.", "It is 13th June.", 1),
        ("It is the thirtieth of June.", "It is June.", 1),
    ],
)
def test_it_is_wrong(said: str, heard: str, count: int) -> None:
    assert errors(said, heard) == (count, len(words(said)))


def test_what_may_not_be_written_of_a_date_does_not_count() -> None:
    assert words("It is the twenty first of May.") == words("It is 21 May.") == ["it", "is", "twenty", "first", "may"]


def test_numbers_are_counted_in_words() -> None:
    assert words("I have 21 apples, at 7:30.") == ["i", "have", "twenty", "one", "apples", "at", "seven", "thirty"]
