/**
 * Which tokens the files of a tokenizer add to its vocabulary, and in which order.
 *
 * Source: transformers 5.23, `from_pretrained` of tokenization_utils_base.py and `__init__` of
 * tokenization_utils_tokenizers.py. Four files have a say, and old files follow rules of their own.
 */
import { z } from "zod";
import type { AddedToken } from "./addedTokens.js";

/** A token as JSON has it: only its text, or also how it is looked for. */
const described = z.object({
  content: z.string(),
  special: z.boolean().default(false),
  normalized: z.boolean().nullish(),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
});
const token = z.union([z.string(), described]);
type Token = z.infer<typeof token>;
type Described = z.infer<typeof described>;

/** The tokens with a role, in the order in which they are added. */
const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] as const;
const roles = z.looseObject({
  bos_token: token.optional(),
  eos_token: token.optional(),
  unk_token: token.nullish(),
  sep_token: token.nullish(),
  pad_token: token.nullish(),
  cls_token: token.nullish(),
  mask_token: token.nullish(),
});
const extra = z.union([z.array(token), z.record(z.string(), token)]).nullish();
const further = { extra_special_tokens: extra, additional_special_tokens: extra };

/** tokenizer_config.json, as far as it concerns tokens */
export const configTokensSchema = roles.extend({
  ...further,
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), described).optional(),
});
/** special_tokens_map.json */
export const tokensMapSchema = roles.extend(further);
/** added_tokens.json */
export const addedFileSchema = z.record(z.string(), z.int().nonnegative());
/** tokenizer.json's `added_tokens` */
export const addedListSchema = z.array(described.extend({ id: z.int().nonnegative() }));

/** What the files say about tokens; absent where there is no such file. */
export interface TokenFiles {
  readonly config: z.infer<typeof configTokensSchema>;
  readonly map?: z.infer<typeof tokensMapSchema>;
  readonly addedFile?: z.infer<typeof addedFileSchema>;
  readonly addedList?: z.infer<typeof addedListSchema>;
}

/** A CLIP tokenizer's tokens. */
export interface SpecialTokens {
  readonly start: string;
  readonly end: string;
  readonly unknown: string;
  /** absent: no prompt can be padded */
  readonly pad?: string;
  /** in the order in which they are added */
  readonly added: readonly AddedToken[];
}

/** CLIPTokenizer's own. */
const DEFAULTS = {
  bos_token: "<|startoftext|>",
  eos_token: "<|endoftext|>",
  unk_token: "<|endoftext|>",
  pad_token: "<|endoftext|>",
};

/** Works out the tokens that the files add. */
export function specialTokensOf(files: TokenFiles): SpecialTokens {
  // Before transformers wrote added_tokens_decoder, the other files had the last word.
  const { config } = files;
  const isOld = config.added_tokens_decoder === undefined;
  const map = isOld && files.map !== undefined ? asSpecial(files.map) : {};
  const said = { ...DEFAULTS, ...config, ...map };
  const extra = extraTokens(config, map);

  const described = isOld ? oldDescriptions(files, map, extra) : Object.entries(config.added_tokens_decoder ?? {});
  const byContent = new Map(described.map(([, each]) => [each.content, each]));
  const byId = new Map(described.map(([id, each]) => [Number(id), each]));
  const inOrder = [...byId].sort(([a], [b]) => a - b).map(([, each]) => each);
  const withRole = [
    ...ROLES.map((role) => said[role])
      .filter(isThere)
      .map((each) => byContent.get(contentOf(each)) ?? each),
    ...Object.values(extra.named),
  ];
  const known = new Set(inOrder.map(({ content }) => content));
  const added: Token[] = [...inOrder];
  for (const each of [...withRole, ...extra.listed])
    if (!known.has(contentOf(each)) && !added.some((before) => JSON.stringify(before) === JSON.stringify(each)))
      added.push(each);
  const roleContents = new Set(withRole.map(contentOf));
  return {
    start: contentOf(said.bos_token),
    end: contentOf(said.eos_token),
    // What Python prints for no token; it is not in the vocabulary either.
    unknown: isThere(said.unk_token) ? contentOf(said.unk_token) : "None",
    ...(isThere(said.pad_token) ? { pad: contentOf(said.pad_token) } : {}),
    added: added.map((each) => {
      const whole = typeof each === "string" ? plain(each, true) : each;
      const special = whole.special || roleContents.has(whole.content);
      return { ...whole, special, normalized: whole.normalized ?? !special };
    }),
  };
}

type Config = TokenFiles["config"];
type TokensMap = Partial<NonNullable<TokenFiles["map"]>>;

/** Tokens of special_tokens_map.json are special, whatever the file itself says. */
function asSpecial(map: TokensMap): TokensMap {
  const special = (each: unknown): unknown =>
    Array.isArray(each)
      ? each.map(special)
      : typeof each === "object" && each !== null
        ? { ...each, special: true }
        : each;
  return Object.fromEntries(Object.entries(map).map(([key, each]) => [key, special(each)]));
}

interface ExtraTokens {
  /** those with a name of their own */
  readonly named: Readonly<Record<string, Token>>;
  readonly listed: readonly Token[];
  /** those of the listed ones that make a token of added_tokens.json special */
  readonly special: readonly Token[];
}

/** Tokens that have none of the known roles. */
function extraTokens(config: Config, map: TokensMap): ExtraTokens {
  const isSaid = "extra_special_tokens" in config || "additional_special_tokens" in config;
  const first = [config.extra_special_tokens ?? config.additional_special_tokens, map.extra_special_tokens];
  const last = isSaid || isThere(map.extra_special_tokens) ? undefined : map.additional_special_tokens;
  const all = [...first, last].filter(isThere);
  const otherRoles = [config, map].flatMap((file) =>
    Object.entries(file).filter(([key, each]) => key.endsWith("_token") && !(key in roles.shape) && isThere(each)),
  );
  const listed = (lists: readonly (typeof last)[]): Token[] =>
    lists.flatMap((each) => (Array.isArray(each) ? each : []));
  return {
    named: Object.assign(Object.fromEntries(otherRoles), ...all.filter((each) => !Array.isArray(each))) as Record<
      string,
      Token
    >,
    listed: listed(all),
    special: listed(first),
  };
}

/** The tokens of added_tokens.json, then those of tokenizer.json, each with its id. */
function oldDescriptions(
  { config, addedFile, addedList }: TokenFiles,
  map: TokensMap,
  extra: ExtraTokens,
): (readonly [id: string | number, Described])[] {
  // Here a role does not make its token special where tokenizer_config.json describes the token instead of naming it.
  const ofConfig = ROLES.filter((role) => !(role in map)).map((role) => config[role]);
  const ofRoles = [...ofConfig.filter((each) => typeof each === "string"), ...ROLES.map((role) => map[role])];
  const special = new Set([...ofRoles.filter(isThere), ...extra.special].map(contentOf));
  return [
    ...Object.entries(addedFile ?? {}).map(([content, id]) => [id, plain(content, special.has(content))] as const),
    ...(addedList ?? []).map(({ id, ...each }) => [id, each] as const),
  ];
}

function isThere<T>(value: T | null | undefined): value is T {
  return value !== undefined && value !== null;
}

function plain(content: string, special: boolean): Described {
  return { content, special, normalized: !special, lstrip: false, rstrip: false, single_word: false };
}

function contentOf(each: Token): string {
  return typeof each === "string" ? each : each.content;
}
