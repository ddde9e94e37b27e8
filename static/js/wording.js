// What is said of new changes, to the eye and to the ear.
import { sayMany } from "./words.js";

export const changes = (number) => sayMany("new", number);
export const waiting = (number) => sayMany("waiting", number);
export const atTheTop = (number) => sayMany("at-the-top", number);
