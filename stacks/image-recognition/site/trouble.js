// What went wrong, told so that a visitor can do something about it.

export class Trouble extends Error {
  /** `title`: what happened; `advice`: what to do; `again`: whether the same picture may well work the next time. */
  constructor(title, advice, again = false) {
    super(title);
    this.title = title;
    this.advice = advice;
    this.again = again;
  }
}

/** Thrown when the visitor has changed their mind: nothing is shown. */
export class Cancelled extends Error {}

export const offline = () => navigator.onLine === false
  ? new Trouble("You are offline", "Connect to the internet, then try again. Nothing is lost.", true)
  : new Trouble("The service could not be reached", "Check your connection, or try again in a minute.", true);
