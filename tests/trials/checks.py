"""What a trial of an installation expects, a line each; where it works; and how it ends."""

import pathlib
import shutil
import tempfile

import trial


class Checks:
    def __init__(self, name, args):
        trial.needs_root()
        self.name = name
        self.problems = []
        self.is_temporary = not args.folder
        self.work = pathlib.Path(args.folder or tempfile.mkdtemp(prefix=f"exorelay-{name}-"))
        self.work.mkdir(exist_ok=True)

    def expect(self, is_so, text):
        print(f"  {'ok' if is_so else 'FAILED'}  {text}", flush=True)
        if not is_so:
            self.problems.append(text)

    def end(self, **figures):
        """Never returns."""
        if not self.problems and self.is_temporary:
            shutil.rmtree(self.work)
        else:
            print(f"everything is in {self.work}")
        figures["problems"] = len(self.problems)
        print(self.name, *(f"{key}={value}" for key, value in figures.items()))
        raise SystemExit(bool(self.problems))
