/** A binding of a Worker's configuration, as far as it is read here. */
interface Binding {
  readonly type?: string;
  readonly dev?: { readonly plugin?: { readonly name?: string }; readonly options?: { readonly url?: string } };
}

interface WorkerOptions {
  readonly config?: { readonly env?: Readonly<Record<string, Binding>> };
}

/** What Miniflare asks of a plugin. */
export declare const plugins: {
  readonly "embedge-ai": {
    readonly bindingTypeDescription: string;
    getBindings(options: WorkerOptions): Promise<readonly object[]>;
    getNodeBindings(): object;
    getServices(context: { readonly options: WorkerOptions }): Promise<readonly object[]>;
  };
};
