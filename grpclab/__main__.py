"""``python -m grpclab`` is ``grpclab``."""

import sys

from grpclab.cli import main

sys.exit(main())
