/** Three disjoint sets of things that the embedded model was trained on. */

export const PROFILE_PROMPTS = [
  ...["red apple", "cat face", "rocket", "sunflower", "pizza", "grinning face", "house with garden", "guitar"],
] as const;

export const FIT_PROMPTS = [
  ...["birthday cake", "dog face", "airplane", "tulip", "hamburger", "crying face", "castle", "violin"],
  ...["lemon", "owl", "bicycle", "crescent moon", "coffee", "police officer", "red heart", "umbrella"],
  ...["banana", "panda", "sailboat", "cactus", "sushi", "robot", "tent", "microphone"],
] as const;

export const TEST_PROMPTS = [
  ...["strawberry", "fox", "helicopter", "mushroom", "ice cream", "angry face", "lighthouse", "drum"],
  ...["watermelon", "penguin", "bus", "snowman", "beer mug", "ghost", "star", "key"],
  ...["grapes", "tiger face", "ship", "rose", "taco", "alien", "mountain", "camera"],
] as const;
