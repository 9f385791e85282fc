/** The paper's own measurement (section 3.1): 32 prompts × 2 seeds at guidance scale 5. */
export const PAPER_PRESET = {
  guidanceScale: 5,
  seeds: [0, 1],
  prompts: [
    "red apple", "smiling face with sunglasses", "cat face", "rocket", "slice of pizza", "blue book", "tree", "house with garden",
    "soccer ball", "yellow star", "bicycle", "clock face", "penguin", "birthday cake", "umbrella with rain drops", "guitar",
    "crown", "airplane", "snowman", "green heart", "dog", "mushroom", "lemon", "ship",
    "woman with red hair", "trophy", "fox", "hot beverage", "gift box with a ribbon", "fish", "full moon", "camera",
  ],
} as const;
