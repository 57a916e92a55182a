// By a constant path, so that bundlers take the file in.
const manifest = require('../../../../package.json') as { version: string }

/** Version of this package. */
export const version: string = manifest.version
