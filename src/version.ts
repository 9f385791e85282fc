/** This library's version, as in package.json; a test makes sure that the two agree. */
export const VERSION = "0.1.0";
