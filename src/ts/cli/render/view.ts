import type { TrainEvent } from '../../../../index.js'

/** Shows a training run to someone: a person, a log, or a program. */
export interface View {
  show(event: TrainEvent): void
  /** Leaves the terminal in order, however the run ended. */
  close(): void
}

/** What a view tells about a run that is not in its events. */
export interface RunFacts {
  /** Trainable values of the network. */
  parameters: number
  /** What a person should know about the pictures. */
  note: string | null
  /** How this program was called: the first words of a command to type. */
  command: string[]
  /** The command that goes on with the run after it was stopped. */
  resume: string[]
  /** Aborts when the run is to end after the current batch. */
  interrupt: AbortSignal
}
