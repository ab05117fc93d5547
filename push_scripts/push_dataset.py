"""python push_scripts/push_dataset.py FOLDER --repo-id ORG/NAME [--private] [--yes]: the same as `agentmerge push dataset`."""

import sys

from agentmerge_hub.__main__ import main

if __name__ == "__main__":
    sys.argv = ["agentmerge", "push", "dataset", *sys.argv[1:]]
    main()
