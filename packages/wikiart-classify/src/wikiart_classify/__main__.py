"""`python -m wikiart_classify`, which `accelerate launch -m` needs for several processes."""

from wikiart_classify.cli import main

raise SystemExit(main())
