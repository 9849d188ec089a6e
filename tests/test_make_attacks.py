"""Values, names of variables and file names that are commands: make runs none, and passes every value on as it is."""

from pathlib import Path

from tests.conftest import make, run_make
from tests.make_attacks import VALUES, attack_names, has_run, names_of_make, pass_everywhere, write_recorder

# Of VALUES, which `make check-full` tries one by one: each character that means something to make or bash.
SOME = (
    "a'; touch ran; '\"; touch ran; \"`touch ran`$(touch ran)$(shell touch ran)$$(touch ran); touch ran #%*?[{},\\",
    "a:$(shell touch ran)'; touch ran; '",
    "-c$(shell touch ran)",
)


def test_every_recipe_passes_every_value_on_as_it_is(fresh: Path) -> None:
    for value in SOME:
        for in_environment in (False, True):
            passed = pass_everywhere(fresh, value, in_environment)
            assert passed.fault == ""
            assert not has_run(fresh)
            assert {word for word in passed.values if "ran" in word and "brien" not in word} <= {value, f"./{value}"}
            checkpoints = "env:CHECKPOINTS" if ":" in value else value
            assert passed.values.count(checkpoints) >= 4  # of stamps, fetch, select and add
            assert ("env:MODULE" in passed.values) is (":" in value)


def test_a_line_break_in_a_value_is_refused(fresh: Path) -> None:
    passed = pass_everywhere(fresh, "a\ntouch ran")
    assert "has a line break; expected one line" in passed.fault
    assert not passed.values
    assert not has_run(fresh)


def test_no_name_of_the_makefiles_can_be_given(fresh: Path) -> None:
    """Some, on the command line and in the environment; `make check-full` tries all."""
    names = ["HOME", "MAKE_VERSION", "MAKEFILE_LIST", "quote", "name"]
    assert set(names) <= set(names_of_make())
    assert [*attack_names(fresh, names)] == []
    done = make(fresh, "fetch", "MODEL=mini", MAKECMDGOALS="clean")
    assert "MAKECMDGOALS is set in the environment; unset it" in done.stderr


def test_the_name_of_a_new_collection_is_checked_too(fresh: Path) -> None:
    for name in ("x; touch ran", "x:;touch${IFS}ran", "-x", "a b", "$(touch ran)"):
        done = run_make(fresh, "add", "select", "CHECKPOINT=a", f"COLLECTION={name}", write_recorder(fresh))
        assert done.returncode == 2
        assert "expected the name of a folder of model_cards/" in done.stderr
    assert not has_run(fresh)


def test_names_of_members_and_collections_are_no_commands(fresh: Path) -> None:
    for name in ("$(touch ran)", "`touch ran`", "-x", "a\ntouch ran", "a,b", "#a", "a\x01", "\u2028"):
        member, collection = fresh / f"model_cards/tiny/{name}.yaml", fresh / f"model_cards/{name}"
        member.touch()
        done = make(fresh, "fetch", "COLLECTION=tiny")
        assert done.returncode == 2
        assert "may have the letters a-z and A-Z, digits and - _ . but no spaces; rename it" in done.stderr
        member.unlink()
        (fresh / "model_cards/tiny").rename(collection)
        assert "rename it" in make(fresh, "fetch").stderr
        collection.rename(fresh / "model_cards/tiny")
    assert not has_run(fresh)


def test_the_folder_of_a_clone_is_no_command(fresh: Path, tmp_path: Path) -> None:
    clone = fresh.rename(tmp_path / "a'; touch ran; '$(shell touch ran)`touch ran`")
    assert pass_everywhere(clone, "Tom's models").fault == ""
    clone = clone.rename(tmp_path / "a\ntouch ran\n")
    assert "the path of this folder has a line break; rename it" in make(clone, "fetch", "MODEL=mini").stderr
    assert not has_run(clone)


def test_the_attacks_are_attacks(tmp_path: Path) -> None:
    """Where nothing quotes a value, most of them run a command."""
    (tmp_path / "Makefile").write_text("all:\n\t@echo $(VALUE)\n")
    succeeded = 0
    for value in ("`touch ran`", "; touch ran", "$(shell touch ran)", "$$(touch ran)", "x: ; touch ran"):
        assert value in VALUES
        run_make(tmp_path, f"VALUE={value}")
        succeeded += has_run(tmp_path)
        (tmp_path / "ran").unlink()
    assert succeeded == 5
