"""python -m gptloss"""

from gptloss.cli import main

raise SystemExit(main())
