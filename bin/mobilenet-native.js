#!/usr/bin/env node
// Node 22 and newer keep what they compiled for the next call.
require('node:module').enableCompileCache?.()
require('../dist/src/ts/cli/main.js').main(process)
