import NextAuth from "next-auth";
import CredentialsProvider from "next-auth/providers/credentials";

export const options = {
  providers: [CredentialsProvider.default({ credentials: { name: { label: "Name" } }, authorize: async ({ name }) => ({ id: "1", name }) })],
};

export default NextAuth.default(options);
