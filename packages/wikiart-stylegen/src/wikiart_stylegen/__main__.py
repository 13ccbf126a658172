"""`python -m wikiart_stylegen`."""

from wikiart_stylegen.cli import main

raise SystemExit(main())
