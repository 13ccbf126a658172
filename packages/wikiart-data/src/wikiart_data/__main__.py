"""`python -m wikiart_data`."""

from wikiart_data.cli.main import main

raise SystemExit(main())
