/** What the commands need of the process that they run in. */
export interface Deps {
  stdout: NodeJS.WriteStream
  stderr: NodeJS.WriteStream
  /** How this program was called: the first words of a command to type. */
  command: string[]
  /** Aborts when the user wants the command to end. */
  interrupt: AbortSignal
}
