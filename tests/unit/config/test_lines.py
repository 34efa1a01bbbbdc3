"""Finding a key's line."""

from corral.config.lines import line_of

TEXT = '''\
cluster = "x"   # 1
roles.operators = [
    "a",  # [timeouts]
    "b",
]
[timeouts]
node = 3
[[partition]]
name = """
node = 4
"""
[[partition]]
name = "second"
"default" = true
[priority.tres]
cpu = 1
'''


def test_keys_are_found_in_their_tables() -> None:
    assert line_of(TEXT, ("cluster",)) == 1
    assert line_of(TEXT, ("roles", "operators")) == 2
    assert line_of(TEXT, ("timeouts", "node")) == 7
    assert line_of(TEXT, ("partition", 0, "name")) == 9
    assert line_of(TEXT, ("partition", 1, "default")) == 14
    assert line_of(TEXT, ("priority", "tres", "cpu")) == 16


def test_of_a_key_that_is_not_there_the_table_is_found() -> None:
    assert line_of(TEXT, ("partition", 1, "nodes")) == 12
    assert line_of(TEXT, ("api", "listen")) == 1
