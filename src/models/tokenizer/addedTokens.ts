/**
 * Tokens in addition to a byte-pair vocabulary, which are looked for in a text before anything else.
 *
 * Source: the Rust crate tokenizers 0.23, src/tokenizer/added_vocabulary.rs, down to what it does with tokens that are
 * listed twice: the ids of trained embeddings depend on it.
 */

/** A token, and how it is looked for. */
export interface AddedToken {
  readonly content: string;
  /** not looked for where special tokens are to be split like text */
  readonly special: boolean;
  /** looked for, itself normalised, in the normalised text; otherwise in the text as it is */
  readonly normalized: boolean;
  /** swallows the white space before it */
  readonly lstrip: boolean;
  /** swallows the white space after it */
  readonly rstrip: boolean;
  /** not found inside a word */
  readonly single_word: boolean;
}

/**
 * White space as the reference's regex engines know it: with NEL, without the byte-order mark. For use inside brackets.
 */
export const WHITE_SPACE = "\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const SPACES_AT_START = new RegExp(`^[${WHITE_SPACE}]*`);
const SPACES_AT_END = new RegExp(`[${WHITE_SPACE}]*$`);
/** `\w` of the reference's regex engine (Unicode technical standard 18, annex C) */
const LETTER = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]";
const WORD_AT_START = new RegExp(`^${LETTER}`, "u");
const WORD_AT_END = new RegExp(`${LETTER}$`, "u");

/** Finds some tokens in a text: the leftmost, and the longest of those that begin there. */
interface Matcher {
  readonly pattern: RegExp;
  readonly ids: ReadonlyMap<string, number>;
}

/** Parts of a text: an added token's id, or text between them. */
export type TextPart = number | string;

export class AddedTokens {
  readonly #ids = new Map<string, number>();
  readonly #tokens = new Map<number, AddedToken>();
  readonly #normalise: (text: string) => string;
  /** the special tokens, where these are split like text */
  readonly #split: ReadonlySet<string>;
  readonly #asWritten: Matcher | undefined;
  readonly #normalised: Matcher | undefined;

  /**
   * @param vocabulary of the byte-pair model: a token that is in it keeps its id; the others get the ids after it in
   *   the order in which they are added, whatever ids a file gives them
   * @param tokens in the order in which they are added
   * @param splitSpecial whether special tokens are split like text
   */
  constructor(
    vocabulary: ReadonlyMap<string, number>,
    tokens: readonly AddedToken[],
    normalise: (text: string) => string,
    splitSpecial: boolean,
  ) {
    this.#normalise = normalise;
    // Of several tokens with the same content, the last says how it is looked for; it is special if any of them says
    // so.
    for (const token of tokens) {
      if (token.content === "") continue;
      const id = this.#ids.get(token.content) ?? vocabulary.get(token.content) ?? this.#nextId(vocabulary.size);
      this.#ids.set(token.content, id);
      this.#tokens.set(id, token);
    }
    const special = new Set(tokens.filter((token) => token.special).map(({ content }) => content));
    this.#split = splitSpecial ? special : new Set();
    const matcher = (normalized: boolean): Matcher | undefined =>
      matcherOf(
        [...this.#ids]
          .filter(([, id]) => this.#tokens.get(id)?.normalized === normalized)
          .map(([content, id]) => [normalized ? normalise(content) : content, id] as const),
      );
    this.#asWritten = matcher(false);
    this.#normalised = matcher(true);
  }

  /** The id of an added token; undefined for any other text. */
  idOf(content: string): number | undefined {
    return this.#ids.get(content);
  }

  /** The added token with an id; undefined for other tokens of the vocabulary. */
  contentOf(id: number): string | undefined {
    return this.#tokens.get(id)?.content;
  }

  /** Splits a text into added tokens and normalised text. */
  split(text: string): TextPart[] {
    return this.#parts(text, this.#asWritten).flatMap((part) =>
      typeof part === "number" ? [part] : this.#parts(this.#normalise(part), this.#normalised),
    );
  }

  #nextId(size: number): number {
    const last = Math.max(-1, ...this.#ids.values());
    return last >= size || size === 0 ? last + 1 : size;
  }

  #parts(text: string, matcher: Matcher | undefined): TextPart[] {
    if (matcher === undefined) return [text];
    const parts: TextPart[] = [];
    let done = 0;
    for (const match of text.matchAll(matcher.pattern)) {
      const id = matcher.ids.get(match[0]) ?? 0;
      const token = this.#tokens.get(id);
      if (token === undefined || this.#split.has(token.content)) continue;
      let start = match.index;
      let stop = start + match[0].length;
      const isInWord = WORD_AT_END.test(text.slice(0, start)) || WORD_AT_START.test(text.slice(stop));
      if (token.single_word && isInWord) continue;
      // White space that the token before it swallowed is not taken again.
      if (token.lstrip) start = Math.max(done, start - lengthOf(SPACES_AT_END, text.slice(0, start)));
      if (token.rstrip) stop += lengthOf(SPACES_AT_START, text.slice(stop));
      if (done < start) parts.push(text.slice(done, start));
      parts.push(id);
      done = stop;
    }
    if (done < text.length) parts.push(text.slice(done));
    return parts;
  }
}

/** Of several with the same text the last is found; the reference finds any of them, not always the same one. */
function matcherOf(contents: readonly (readonly [content: string, id: number])[]): Matcher | undefined {
  const ids = new Map(contents);
  if (ids.size === 0) return undefined;
  const longestFirst = [...ids.keys()].sort((a, b) => b.length - a.length);
  return { pattern: new RegExp(longestFirst.map(escapeRegExp).join("|"), "g"), ids };
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function lengthOf(pattern: RegExp, text: string): number {
  return pattern.exec(text)?.[0].length ?? 0;
}
