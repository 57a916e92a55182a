/** The colours of the networks. */
export const style = `
:root { --v1: #0b62a8; --v2: #b34700; --v3-large: #00705a; --v3-small: #8a3d86 }
@media (prefers-color-scheme: dark) {
  :root { --v1: #5cb0f2; --v2: #ff9d5c; --v3-large: #3fcfa9; --v3-small: #dd97d6 }
}
`
