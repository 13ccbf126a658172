"""`python -m wikiart_autoencode`."""

from wikiart_autoencode.cli import main

raise SystemExit(main())
