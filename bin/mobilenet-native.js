#!/usr/bin/env node
require('../dist/src/ts/cli/main.js').main(process)
