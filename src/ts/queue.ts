import type { TrainEvent } from './events.js'

/** Events between the run that makes them and whoever iterates, who may be slow, late or absent. */
export class EventQueue implements AsyncIterable<TrainEvent> {
  #events: TrainEvent[] = []
  #end: { reason?: unknown; failed: boolean } | undefined
  #wake: (() => void)[] = []

  /** No event will follow. */
  get closed(): boolean {
    return this.#end !== undefined
  }

  /**
   * Adds an event. A `step` that nobody has read gives way to a later one of its epoch, and an `evaluating` to a later
   * one of its evaluation, so the queue stays short.
   */
  push(event: TrainEvent): void {
    const last = this.#events.at(-1)
    if (last && replaces(event, last)) {
      this.#events[this.#events.length - 1] = event
    } else {
      this.#events.push(event)
    }
    this.#wakeAll()
  }

  /** Ends the iteration after the events that are still unread. */
  close(): void {
    this.#end = { failed: false }
    this.#wakeAll()
  }

  /** Ends the iteration with an error, after the events that are still unread. */
  fail(reason: unknown): void {
    this.#end = { reason, failed: true }
    this.#wakeAll()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TrainEvent, void, undefined> {
    while (true) {
      const event = this.#events.shift()
      if (event) yield event
      else if (this.#end?.failed) throw this.#end.reason
      else if (this.#end) return
      else await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

function replaces(event: TrainEvent, unread: TrainEvent): boolean {
  if (event.type === 'step') return unread.type === 'step' && unread.epoch === event.epoch
  if (event.type !== 'evaluating' || unread.type !== 'evaluating') return false
  return unread.epoch === event.epoch && unread.split === event.split
}
