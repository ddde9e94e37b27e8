// What is said of new changes, to the eye and to the ear.

export const changes = (number) => (number === 1 ? "1 new change" : `${number} new changes`);

export function waiting(number) {
  return `${changes(number)} ${number === 1 ? "is" : "are"} waiting. Press n to show ${number === 1 ? "it" : "them"}.`;
}
