"""`corral simulate`: what would become of this work on that cluster, under these policies?"""

import sys
from collections.abc import Sequence

from corral.daemon import memory
from corral.errors import CorralError
from corral.simulator import filling, page, report, study
from corral.simulator.options import parser
from corral.simulator.progress import Bar


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    memory.collect_seldom()
    bar = Bar(sys.stderr, shown=not given.quiet and sys.stderr.isatty())
    try:
        if given.alibaba_pods is not None:
            figures = filling.figures(given, bar.at)
            bar.clear()
            print(filling.as_json(figures) if given.json else filling.as_table(figures))
            return 0
        setting = study.setting_of(given)
        results = list(study.results(given, setting, bar.at))
        bar.clear()
        if given.csv is not None:
            report.write_csv(given.csv, results)
        if given.html is not None:
            given.html.write_text(page.html(setting, results), encoding="utf-8")
        print(report.as_json(setting, results) if given.json else report.table(setting, results))
    except CorralError as error:
        bar.clear()
        print(f"corral simulate: error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        bar.clear()
        print(f"corral simulate: error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        bar.clear()
        return 130
    return 0
