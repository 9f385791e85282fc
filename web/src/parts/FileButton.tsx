import { useRef } from "preact/hooks";

interface FileButtonProps {
  readonly label: string;
  readonly accept: string;
  onText(text: string): void;
}

/** A button that reads a file of the user's choice as text. */
export function FileButton({ label, accept, onText }: FileButtonProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button onClick={() => input.current?.click()}>{label}</button>
      <input
        ref={input}
        type="file"
        accept={accept}
        hidden
        aria-label={`${label}: file`}
        onChange={async ({ currentTarget }) => {
          const [file] = currentTarget.files ?? [];
          if (file !== undefined) onText(await file.text());
          // The same file can be chosen again.
          currentTarget.value = "";
        }}
      />
    </>
  );
}
