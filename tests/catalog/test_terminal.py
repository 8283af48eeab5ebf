"""What a person sees when a verb fails: one sentence and exit code 2, a traceback only for a bug."""

import pytest

from catalog.errors import MalformedError
from catalog.terminal import run_main


def failing(error: BaseException):
    def main(_: list[str]) -> None:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MalformedError("the file [is] not a catalog"), "error: the file [is] not a catalog"),
        (NotADirectoryError(20, "Not a directory", "file/sub"), "error: file/sub: Not a directory"),
        (ModuleNotFoundError("no", name="torch.nn"), "error: the package torch.nn is not installed; `make dev-env`"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(error, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        run_main(failing(error))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(sentence)


@pytest.mark.parametrize("error", [ModuleNotFoundError("no", name="catalogue"), OSError("socket"), KeyError("x")])
def test_a_bug_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run_main(failing(error))


def test_ctrl_c_is_130():
    with pytest.raises(SystemExit) as ended:
        run_main(failing(KeyboardInterrupt()))
    assert ended.value.code == 130
